/** Reads PromQL with the parser of Prometheus: the metrics and labels that an expression uses. */
import { parser } from '@prometheus-io/lezer-promql';

interface Selector {
  readonly metric: string;
  readonly matchers: Array<{ readonly label: string; readonly value: string }>;
}

/** Throws at a syntax error. */
export function readPromql(expression: string): { selectors: Selector[]; groupings: string[] } {
  const selectors: Selector[] = [];
  const groupings: string[] = [];
  parser.parse(expression).iterate({
    enter({ type, node, from, to }) {
      const textOf = (name: string): string => {
        const child = node.getChild(name);
        return child === null ? '' : expression.slice(child.from, child.to);
      };
      if (type.isError) throw new Error(`not PromQL at ${from}: ${expression}`);
      if (type.name === 'VectorSelector') selectors.push({ metric: textOf('Identifier'), matchers: [] });
      if (type.name === 'UnquotedLabelMatcher')
        selectors.at(-1)?.matchers.push({ label: textOf('LabelName'), value: textOf('StringLiteral').slice(1, -1) });
      if (type.name === 'GroupingLabels') groupings.push(...(expression.slice(from, to).match(/\w+/g) ?? []));
    },
  });
  return { selectors, groupings };
}

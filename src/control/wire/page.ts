/** The AsyncAPI document as a page to read: static HTML, no script, one style sheet. */

import type { Schema, WireDocument, WireMessage } from '../../protocol/async-api.ts';

export const STYLE = `:root{color-scheme:light dark;background:Canvas;color:CanvasText}
:root{--line:color-mix(in srgb,currentColor 22%,transparent)}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem}
h2{margin-top:2.5rem}h3{margin:2rem 0 .25rem}nav a{margin-inline-end:.75rem}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{padding:.75rem;border:1px solid var(--line);border-radius:6px;overflow-x:auto}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:start;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line)}
`;

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: unknown): string => String(text ?? '').replace(/[&<>"]/g, (found) => ESCAPES[found] ?? found);
/** Text in backticks is code. */
const prose = (text: unknown): string => escaped(text).replace(/`([^`]+)`/g, '<code>$1</code>');
const code = (text: unknown): string => `<code>${escaped(text)}</code>`;

function typeOf(schema: Schema): string {
  const { $ref, type, const: only, enum: values, oneOf, items } = schema;
  if (typeof $ref === 'string') {
    const name = escaped($ref.split('/').at(-1));
    return `<a href="#schema-${name}">${name}</a>`;
  }
  if (only !== undefined) return code(JSON.stringify(only));
  if (Array.isArray(values)) return values.map((each) => code(JSON.stringify(each))).join(' ');
  if (Array.isArray(oneOf)) return oneOf.map((each) => typeOf(each as Schema)).join(' or ');
  if (items !== undefined) return `list of ${typeOf(items as Schema)}`;
  const { minimum = '', maximum = '', minLength = '', maxLength = '' } = schema;
  const low = `${minimum}${minLength}`;
  const high = maximum === Number.MAX_SAFE_INTEGER ? '' : `${maximum}${maxLength}`;
  const bounds = high !== '' ? ` (${low} to ${high}${type === 'string' ? ' characters' : ''})` : '';
  return escaped(`${[type].flat().join(' or ')}${bounds}`);
}

function table(schema: Schema): string {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const mark = schema.required?.includes(name) ? '' : ' (optional)';
    return `<tr><td>${code(name)}${mark}</td><td>${typeOf(field)}</td><td>${prose(field['description'])}</td></tr>`;
  });
  if (rows.length === 0) return `<p>${typeOf(schema)}</p>`;
  const head = '<thead><tr><th>field</th><th>type</th><th>meaning</th></tr></thead>';
  return `<div class="scroll"><table>${head}<tbody>${rows.join('')}</tbody></table></div>`;
}

/** Events are alternatives: one table for each type would be long, so there is one row. */
function alternatives(schema: Schema): string {
  const rows = (schema['oneOf'] as readonly Schema[]).map(({ properties }) => {
    const data = Object.entries(properties?.['data']?.properties ?? {});
    const fields = data.map(([name, field]) => `${code(name)}: ${typeOf(field)}`).join(', ');
    return `<tr><td>${code(properties?.['type']?.['const'])}</td><td>${fields}</td></tr>`;
  });
  const head = '<thead><tr><th>type</th><th>data</th></tr></thead>';
  return `<div class="scroll"><table>${head}<tbody>${rows.join('')}</tbody></table></div>`;
}

export function wirePage(document: WireDocument): string {
  const { info, channels, operations, components } = document;
  const isRequest = (name: string): boolean => operations[name]?.action === 'receive';
  const names = Object.keys(components.messages);
  const section = (name: string): string => {
    const { summary, payload, examples } = components.messages[name] as WireMessage;
    const reply = operations[name]?.['x-reply-data'];
    return [
      `<h3 id="${escaped(name)}">${code(name)}</h3><p>${prose(summary)}</p>${table(payload)}`,
      reply === undefined ? '' : `<p><code>data</code> of the <code>ok</code>:</p>${table(reply)}`,
      ...examples.map((each) => `<pre>${escaped(JSON.stringify(each.payload, null, 2))}</pre>`),
    ].join('');
  };
  const links = (title: string, of: readonly string[]): string => {
    const list = of.map((name) => `<a href="#${escaped(name)}">${escaped(name)}</a>`);
    return `<nav aria-label="${title}">${list.join(' ')}</nav>`;
  };
  const part = (title: string, of: readonly string[]): string =>
    `<h2>${title}</h2>${links(title, of)}${of.map(section).join('')}`;
  const views = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<h3 id="schema-${escaped(name)}">${escaped(name)}</h3><p>${prose(schema['description'])}</p>` +
      (name === 'Event' ? alternatives(schema) : table(schema)),
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>${escaped(info.title)}</title>
<link rel="stylesheet" href="asyncapi.css">
<link rel="icon" href="data:,"></head><body><main>
<h1>${escaped(info.title)} ${escaped(info.version)}</h1><p>${prose(info.description)}</p>
<p>WebSocket ${code(channels.show.address)}. ${prose(channels.show.description)}</p>
<p><a href="asyncapi.json">asyncapi.json</a> · <a href="docs/">The HTTP API of hosts</a></p>
${part('Requests of the client', names.filter(isRequest))}
${part(
  'Messages of the server',
  names.filter((name) => !isRequest(name)),
)}
<h2>Views</h2>${views.join('')}</main></body></html>`;
}

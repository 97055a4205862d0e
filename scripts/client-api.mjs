/**
 * The API reference of the SDK, one page of Markdown, from the docstrings in src/client. It asks
 * the compiler of this project: TypeDoc does not support TypeScript 7, and API Extractor reads one
 * entry point per package and writes a page per member. `node scripts/client-api.mjs` prints it.
 */
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SyntaxKind } from 'typescript/unstable/ast';
import { API, SymbolFlags } from 'typescript/unstable/sync';

/** The entry points of the package: files in src/client, `index` is the package itself. */
export const ENTRIES = ['index', 'countdown', 'react', 'msgpack', 'deflate'];
const PACKAGE = '@stampede/client';
const COLUMNS_MAX = 90;

/** Calls `read` with a checker of the SDK, without the rest of the project. */
function withProgram(root, files, read) {
  const config = join(root, 'tsconfig.client-api.json');
  const content = { extends: './tsconfig.json', compilerOptions: { types: [] }, include: [], files };
  const api = new API({
    cwd: root,
    fs: {
      readFile: (path) => (path === config ? JSON.stringify(content) : undefined),
      fileExists: (path) => (path === config ? true : undefined),
    },
  });
  try {
    const { program, checker } = api.updateSnapshot({ openProjects: [config] }).getProject(config);
    return read(program, checker);
  } finally {
    api.close();
  }
}

const declarationOf = (symbol) => (symbol.valueDeclaration ?? symbol.declarations[0]).resolve();
const isShown = ({ name, modifiers }) =>
  name?.kind !== SyntaxKind.PrivateIdentifier && !modifiers?.some(({ kind }) => kind === SyntaxKind.PrivateKeyword);

/** Returns the text of a declaration without its body, `export` and `async`. */
function signatureOf(node) {
  const source = node.getSourceFile();
  const start = node.getStart(source);
  const text = source.text.slice(start, node.body === undefined ? node.end : node.body.getStart(source));
  const column = source.text.slice(source.text.lastIndexOf('\n', start) + 1, start).match(/^ */)[0].length;
  return text
    .replace(/^(?:export |async )+/, '')
    .replaceAll(`\n${' '.repeat(column)}`, '\n')
    .trim()
    .replace(/;$/, '');
}

/** Returns a type that is computed from a table as its values. */
function valuesOf(name, values) {
  const lines = [''];
  for (const { value } of values) {
    const text = ` | '${value}'`;
    if (lines.at(-1).length + text.length > COLUMNS_MAX) lines.push('');
    lines[lines.length - 1] += text;
  }
  return `type ${name} =\n ${lines.join('\n ')}`;
}

function memberOf(checker, symbol) {
  const node = declarationOf(symbol);
  const isOptional = (symbol.flags & SymbolFlags.Optional) !== 0;
  const type = node.type === undefined || node.parameters !== undefined ? signatureOf(node) : node.type.getText();
  return {
    name: symbol.name,
    doc: checker.getDocumentationCommentOfSymbol(symbol) ?? '',
    isOptional,
    signature: signatureOf(node),
    type: type.replace(/\s+/g, ' ').replace(isOptional ? / \| undefined$/ : /^$/, ''),
  };
}

function itemOf(checker, exported) {
  const isAlias = (exported.flags & SymbolFlags.Alias) !== 0;
  const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported;
  const node = declarationOf(symbol);
  const item = {
    name: exported.name,
    isOwn: !isAlias,
    doc: checker.getDocumentationCommentOfSymbol(symbol) ?? '',
    members: [],
  };
  const members = () => checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol));
  switch (node.kind) {
    case SyntaxKind.ClassDeclaration:
    case SyntaxKind.InterfaceDeclaration: {
      const shown = members().filter((member) => isShown(declarationOf(member)));
      const kind = node.kind === SyntaxKind.ClassDeclaration ? 'class' : 'interface';
      return { ...item, kind, members: shown.map((member) => memberOf(checker, member)) };
    }
    case SyntaxKind.VariableDeclaration: {
      const type = node.type?.getText() ?? checker.typeToString(checker.getTypeOfSymbol(symbol), node);
      return { ...item, kind: 'value', signature: `const ${exported.name}: ${type}` };
    }
    case SyntaxKind.FunctionDeclaration:
      return { ...item, kind: 'value', signature: signatureOf(node) };
    default: {
      const values = /\b(?:keyof|typeof)\b/.test(node.type.getText())
        ? checker.getDeclaredTypeOfSymbol(symbol).getTypes?.()
        : undefined;
      const signature = values === undefined ? signatureOf(node) : valuesOf(exported.name, values);
      return { ...item, kind: 'type', signature };
    }
  }
}

/** Returns the comment at the beginning of a file as Markdown. */
const introductionOf = (text) => (text.match(/^\/\*\*([\s\S]*?)\*\//)?.[1] ?? '').replace(/^ *\* ?/gm, '').trim();

/** Returns what each entry point exports, with its docstrings. */
export function readClientApi(root) {
  const files = ENTRIES.map((entry) => join(root, `src/client/${entry}.ts`));
  return withProgram(root, files, (program, checker) =>
    files.map((file, index) => {
      const source = program.getSourceFile(file);
      if (source === undefined) throw new Error(`${relative(root, file)} is not part of the program`);
      const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(source));
      const items = exported.map((symbol) => itemOf(checker, symbol));
      const name = ENTRIES[index] === 'index' ? PACKAGE : `${PACKAGE}/${ENTRIES[index]}`;
      return { name, introduction: introductionOf(source.text), items: items.sort(byRank) };
    }),
  );
}

const RANKS = { value: 1, class: 2, interface: 3, type: 3 };
/** What the entry point itself declares comes first, types last, by name. */
const rankOf = ({ kind, isOwn }) => (isOwn && RANKS[kind] < 3 ? 0 : RANKS[kind]);
const byRank = (a, b) => rankOf(a) - rankOf(b) || (rankOf(a) === 0 ? 0 : a.name.localeCompare(b.name));

const code = (text) => `\`\`\`ts\n${text}\n\`\`\``;
const cell = (text) => text.replace(/\s*\n\s*/g, ' ').replaceAll('|', '\\|');

function membersOf({ kind, members }) {
  if (kind === 'class') return members.flatMap(({ name, doc, signature }) => [`#### ${name}`, code(signature), doc]);
  const rows = members.map(
    ({ name, isOptional, type, doc }) => `| \`${name}${isOptional ? '?' : ''}\` | \`${cell(type)}\` | ${cell(doc)} |`,
  );
  return rows.length === 0 ? [] : [['| field | type | |', '| --- | --- | --- |', ...rows].join('\n')];
}

const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\w -]/g, '')
    .replaceAll(' ', '-');
const link = (text, heading = text) => `[\`${text}\`](#${anchorOf(heading)})`;
/** A heading that differs from that of the class `StampedeClient`. */
const entryHeading = (name) => `Entry point ${name}`;

/** Returns the page. */
export function clientApiPage(root) {
  const entries = readClientApi(root);
  const contents = entries.map(
    ({ name, items }) => `- ${link(name, entryHeading(name))}: ${items.map((item) => link(item.name)).join(', ')}`,
  );
  const parts = entries.flatMap(({ name, introduction, items }) => [
    `## ${entryHeading(name)}`,
    introduction,
    ...items.flatMap((item) => [
      `### ${item.name}`,
      item.doc,
      ...(item.signature === undefined ? [] : [code(item.signature)]),
      ...membersOf(item),
    ]),
  ]);
  const head = 'All that the package exports. [README.md](README.md) shows how it is used.';
  return `${[`# ${PACKAGE}: API`, head, contents.join('\n'), ...parts].filter((part) => part !== '').join('\n\n')}\n`;
}

const root = join(fileURLToPath(import.meta.url), '../..');
if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(clientApiPage(root));

export { digestFile, digestText } from './digest';
export { readJson, readJsonLines, readText, type JsonLine } from './read';
export { publishFolder, writeFileAtomically } from './publish';

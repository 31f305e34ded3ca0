export { digestFile, digestText } from './digest';
export { fileError } from './file-error';
export { listFolder, readJson, readJsonLines, readText, type JsonLine } from './read';
export { makeFolder, publishFolder, writeFileAtomically } from './publish';

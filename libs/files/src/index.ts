export { digestFile, digestText, rememberedDigest } from './digest';
export { fileError } from './file-error';
export { listFolder, readJson, readJsonLines, readText, type JsonLine } from './read';
export { inputName, readRows, type Row } from './read-rows';
export { parseJson } from './parse-json';
export { createOutput, writeOutput } from './output';
export { makeFolder, publishFolder, writeFileAtomically, type WholeFile } from './publish';

// A worker thread with some of the members: scores the batch whenever it is asked.
import { parentPort, workerData } from 'node:worker_threads';
import { scoreSequences } from '@surefoot/reward';
import { openBackend } from '@surefoot/tensor';
import { members, texts } from '../models.mjs';
import { scoring, sizes } from '../sizes.mjs';

const { size, from, to, name, kernelBuild } = workerData;
await openBackend(name, { kernelBuild });
const ensemble = { members: members(sizes[size], from, to), maxTokens: scoring.tokens };
const sequences = texts(sizes[size], scoring.rows, scoring.tokens);
parentPort.on('message', async () => parentPort.postMessage(await scoreSequences(ensemble, sequences)));

// An experiment: ten reward models of one shape in one forward pass, every weight with a leading axis of members, every linear
// layer one batched product. It must give the loop's scores to be worth timing.
import { attention, embedding, gelu, layerNorm } from '@surefoot/tensor';
import { disposeModel, packSequences, rewardScores } from '@surefoot/language-model';
import { members, texts } from '../models.mjs';
import { scoring, sizes } from '../sizes.mjs';
import { tf } from './tfjs.mjs';

export async function stackedScorers({ size }) {
  const models = members(sizes[size]);
  const stack = stackWeights(models);
  const score = (batch) => tf.tidy(() => stackedScores(stack, batch, models[0].config));
  await checkAgainstLoop(models, score, packSequences(texts(sizes[size], 2, 16)));
  models.forEach(disposeModel);
  const batch = packSequences(texts(sizes[size], scoring.rows, scoring.tokens));
  return {
    run: async () => {
      const scores = score(batch);
      await scores.data();
      scores.dispose();
    },
    dispose: () => tf.dispose([...stack.values()]),
  };
}

/** Each parameter of K models as one tensor [K, …]. */
function stackWeights(models) {
  const stacked = (name) => tf.tidy(() => tf.stack(models.map(({ parameters }) => parameters.get(name))));
  return new Map([...models[0].parameters.keys()].map((name) => [name, stacked(name)]));
}

/** Scores [K, B] at the last token of sequences of one length. Hidden states are [K, M, H], M rows of each member. */
function stackedScores(stack, { ids, batch, width }, { layers, heads, hiddenSize: H }) {
  const K = stack.get('score.weight').shape[0];
  const weight = (name) => stack.get(`transformer.${name}`);
  const eachRow = (name) => tf.expandDims(weight(name), 1); // [K, H] to [K, 1, H]
  const flat = (x) => tf.reshape(x, [-1, x.shape[2]]);
  const byMember = (x, rows) => tf.reshape(x, [K, rows, x.shape[1]]);
  const linear = (x, name) => tf.add(tf.matMul(x, weight(`${name}.weight`)), eachRow(`${name}.bias`));
  const [one, zero] = [tf.ones([H]), tf.zeros([H])];
  const norm = (x, name) => {
    const normal = byMember(layerNorm(flat(x), one, zero, 1e-5), x.shape[1]);
    return tf.add(tf.mul(normal, eachRow(`${name}.weight`)), eachRow(`${name}.bias`));
  };

  const tokens = tf.gather(weight('wte.weight'), tf.tensor1d(ids, 'int32'), 1);
  const positions = tf.tile(tf.slice(weight('wpe.weight'), [0, 0, 0], [K, width, H]), [1, batch, 1]);
  let x = tf.add(tokens, positions);
  for (let layer = 0; layer < layers; layer++)
    x = tf.tidy(() => {
      const qkv = flat(linear(norm(x, `h.${layer}.ln_1`), `h.${layer}.attn.c_attn`));
      let attended = byMember(attention(qkv, { batch: K * batch, heads }), batch * width);
      // As the loop: past the last attention only the rows of last tokens are needed.
      let rest = x;
      if (layer === layers - 1) [rest, attended] = [rest, attended].map((state) => lastRows(state, K, batch, width));
      const y = tf.add(rest, linear(attended, `h.${layer}.attn.c_proj`));
      const inner = gelu(flat(linear(norm(y, `h.${layer}.ln_2`), `h.${layer}.mlp.c_fc`)));
      return tf.add(y, linear(byMember(inner, y.shape[1]), `h.${layer}.mlp.c_proj`));
    });
  const scores = tf.matMul(norm(x, 'ln_f'), stack.get('score.weight'), false, true);
  return tf.reshape(scores, [K, batch]);
}

function lastRows(x, K, batch, width) {
  const H = x.shape[2];
  const rows = Int32Array.from({ length: K * batch }, (_, row) => (row + 1) * width - 1);
  return tf.reshape(embedding(tf.reshape(x, [K * batch * width, H]), rows), [K, batch, H]);
}

async function checkAgainstLoop(models, score, batch) {
  const loop = tf.tidy(() => tf.stack(models.map((model) => rewardScores(model, batch))));
  const stacked = score(batch);
  const [expected, got] = await Promise.all([loop.data(), stacked.data()]);
  tf.dispose([loop, stacked]);
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - got[i])));
  if (!(worst <= 1e-5)) throw new Error(`stacked scores differ from the loop's by ${worst}`);
}

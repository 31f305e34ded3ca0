import { describe, expect, test } from '@jest/globals';
import { openPlanned, planAuto, type Candidate, type Machine } from './choose-backend';

const missing = { problem: 'native TensorFlow is not installed', cure: 'run npm run install:tensorflow' };
const noLoader = { problem: 'there is no Vulkan loader (libvulkan.so.1)', cure: 'apt-get install libvulkan1' };
const bare: Machine = { tensorflow: missing, webgpu: noLoader, hasNvidiaDriver: false, hasGraphicsCard: false };
const cpuBuild: Machine = { ...bare, tensorflow: { kind: 'cpu' } };
/** A CUDA build where there is no card, as in an image that runs without --gpus. */
const noCard: Machine = { ...bare, tensorflow: { kind: 'gpu' }, webgpu: {} };
const nvidia: Machine = { tensorflow: { kind: 'gpu' }, webgpu: {}, hasNvidiaDriver: true, hasGraphicsCard: true };
/** A card, and TensorFlow only for the CPU. */
const cpuBuildNvidia: Machine = { ...nvidia, tensorflow: { kind: 'cpu' } };
const otherCard: Machine = { tensorflow: missing, webgpu: {}, hasNvidiaDriver: false, hasGraphicsCard: true };

const small = 70_000;
const middle = 500_000;
const large = 13_850_000;
const gpu = (name: Candidate) => ({ name, mustBeGpu: true });
const either = (name: Candidate) => ({ name, mustBeGpu: false });

describe('planAuto', () => {
  test.each<[string, Machine, number | undefined, ReturnType<typeof gpu>[]]>([
    ['nothing but npm, small', bare, small, [either('wasm')]],
    ['nothing but npm, large', bare, large, [either('wasm')]],
    ['TensorFlow, small', cpuBuild, small, [either('wasm')]],
    ['TensorFlow, a model that is not known', cpuBuild, undefined, [either('wasm')]],
    ['TensorFlow, just too small', cpuBuild, 299_999, [either('wasm')]],
    ['TensorFlow, just large enough', cpuBuild, 300_000, [either('tensorflow'), either('wasm')]],
    ['TensorFlow, large', cpuBuild, large, [either('tensorflow'), either('wasm')]],
    ['CUDA without a card, large', noCard, large, [either('tensorflow'), either('wasm')]],
    ['CUDA, small', nvidia, small, [either('wasm')]],
    ['CUDA, too small for a GPU', nvidia, middle, [either('wasm')]],
    ['CUDA without a card, too small for a GPU', noCard, middle, [either('tensorflow'), either('wasm')]],
    [
      'a card, TensorFlow without CUDA, too small for a GPU',
      cpuBuildNvidia,
      middle,
      [either('tensorflow'), either('wasm')],
    ],
    ['CUDA, large', nvidia, large, [gpu('tensorflow'), gpu('webgpu'), either('tensorflow'), either('wasm')]],
    ['a card, TensorFlow without CUDA', cpuBuildNvidia, large, [gpu('webgpu'), either('tensorflow'), either('wasm')]],
    ['a card, no TensorFlow', otherCard, large, [gpu('webgpu'), either('wasm')]],
  ])('%s', (_, machine, parameters, attempts) => {
    expect(planAuto(machine, { parameters }).attempts).toEqual(attempts);
  });

  test.each<[string, Machine, ReturnType<typeof gpu>[]]>([
    ['nothing', bare, []],
    ['TensorFlow', cpuBuild, []],
    ['CUDA', nvidia, [gpu('tensorflow'), gpu('webgpu')]],
    ['a card', otherCard, [gpu('webgpu')]],
  ])('a GPU that is required is all that is tried, whatever the size: %s', (_, machine, attempts) => {
    for (const parameters of [undefined, small, large])
      expect(planAuto(machine, { parameters, requireGpu: true }).attempts).toEqual(attempts);
  });

  test('says why each of the others is not tried', () => {
    const reasons = (machine: Machine, parameters: number, requireGpu = false) => {
      const { passedOver } = planAuto(machine, { parameters, requireGpu });
      return [passedOver.tensorflow, passedOver.webgpu, passedOver.wasm];
    };
    const size = (least: string) => `gains from ${least} parameters, and the model has 0.07 M`;
    expect(reasons(nvidia, small)).toEqual([size('0.3 M'), size('1 M'), undefined]);
    expect(planAuto(nvidia, { parameters: middle }).passedOver.tensorflow).toBe(
      'computes on the GPU, which gains from 1 M parameters, and the model has 0.5 M',
    );
    expect(reasons(bare, large)).toEqual([
      'native TensorFlow is not installed (run npm run install:tensorflow)',
      'there is no graphics card',
      undefined,
    ]);
    expect(reasons(bare, large, true)).toEqual([
      'no NVIDIA driver is loaded (a container needs --gpus all, a pod nvidia.com/gpu)',
      'there is no graphics card',
      'computes on the CPU',
    ]);
    const noLibraries = { ...bare, hasNvidiaDriver: true, hasGraphicsCard: true };
    expect(reasons(noLibraries, large, true)).toEqual([
      'native TensorFlow is not installed (run npm run install:tensorflow -- --gpu)',
      'there is no Vulkan loader (libvulkan.so.1) (apt-get install libvulkan1)',
      'computes on the CPU',
    ]);
    expect(reasons(cpuBuildNvidia, 2.5e9)).toEqual([
      'the CPU build (run npm run install:tensorflow -- --gpu)',
      undefined,
      undefined,
    ]);
  });
});

describe('openPlanned', () => {
  const plan = (machine: Machine, requireGpu = false) => planAuto(machine, { parameters: large, requireGpu });
  /** Backends that open, with whether they compute on a GPU; every other fails. */
  const opening = (isGpu: Partial<Record<Candidate, boolean>>) => async (name: Candidate) => {
    if (isGpu[name] === undefined) throw new Error(`${name} is broken`);
    return { backend: { isGpu: isGpu[name], reason: `kernels of ${name}` } };
  };

  test('takes the first and says why not the others', async () => {
    const open = opening({ tensorflow: true, webgpu: true, wasm: false });
    expect(await openPlanned(plan(nvidia), open)).toMatchObject({
      name: 'tensorflow',
      whyNot: 'not webgpu: comes after it; not wasm: slower for such a model',
    });
  });

  test('goes on with the next where one does not open, or opens on the CPU', async () => {
    expect(await openPlanned(plan(nvidia), opening({ tensorflow: false, webgpu: true, wasm: false }))).toMatchObject({
      name: 'webgpu',
      whyNot: 'not tensorflow: no GPU: kernels of tensorflow; not wasm: slower for such a model',
    });
    expect(await openPlanned(plan(nvidia), opening({ tensorflow: false, wasm: false }))).toMatchObject({
      name: 'tensorflow',
      whyNot: 'not webgpu: webgpu is broken; not wasm: slower for such a model',
    });
    expect(await openPlanned(plan(nvidia), opening({ wasm: false }))).toMatchObject({
      name: 'wasm',
      whyNot: 'not tensorflow: tensorflow is broken; not webgpu: webgpu is broken',
    });
  });

  test('a GPU that is required and not there is an error that says what was found', async () => {
    await expect(openPlanned(plan(bare, true), opening({}))).rejects.toMatchObject({
      kind: 'failed_precondition',
      message:
        'a GPU is required and none was found; not tensorflow: no NVIDIA driver is loaded (a container needs --gpus all, a pod nvidia.com/gpu); not webgpu: there is no graphics card; not wasm: computes on the CPU',
    });
    await expect(openPlanned(plan(nvidia, true), opening({ tensorflow: false, webgpu: false }))).rejects.toThrow(
      'not tensorflow: no GPU: kernels of tensorflow; not webgpu: no GPU: kernels of webgpu;',
    );
  });
});

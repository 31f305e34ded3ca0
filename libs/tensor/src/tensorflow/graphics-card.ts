import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** The GPU that TensorFlow computes on. */
interface GraphicsCard {
  name: string;
  /** Absent where the driver's tool is not installed. */
  freeBytes?: number;
}

/** What the driver's tool says of the first visible NVIDIA GPU. @param visible value of CUDA_VISIBLE_DEVICES, if it is set */
export function graphicsCard(visible: string | undefined): GraphicsCard {
  const first = visible?.split(',')[0];
  const query = ['--query-gpu=name,memory.free', '--format=csv,noheader,nounits', ...(first ? ['-i', first] : [])];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: 10_000 });
  const [name, freeMiB] = status === 0 ? stdout.split('\n')[0]!.split(', ') : [];
  if (!name) return { name: 'GPU' };
  return Number(freeMiB) > 0 ? { name, freeBytes: Number(freeMiB) * 2 ** 20 } : { name };
}

/** Whether an NVIDIA driver is loaded. */
export function hasNvidiaDriver(): boolean {
  return ['/dev/nvidiactl', '/proc/driver/nvidia/version', '/dev/dxg'].some((path) => existsSync(path));
}

/** Why a CUDA build found no GPU. @param visible value of CUDA_VISIBLE_DEVICES, if it is set */
export function whyNoGpu(visible: string | undefined): string {
  if (!hasNvidiaDriver())
    return 'no NVIDIA driver is loaded here; in a container, run it with --gpus all or ask for nvidia.com/gpu';
  if (visible !== undefined && !/^(\d|GPU-|MIG-)/.test(visible)) return `CUDA_VISIBLE_DEVICES is "${visible}"`;
  return 'the driver may be older than CUDA 12 needs (525), or a library may not load; TF_CPP_MIN_LOG_LEVEL=0 shows which';
}

import { existsSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Lets TensorFlow find cuSOLVER, without which it registers no GPU. What opens CUDA's libraries is libtensorflow_framework, and
 * its RUNPATH names the folder of each of them but this one (2.21), so cuSOLVER is linked into one that it names. From there
 * cuSOLVER's own RUNPATH, relative to where it was found, still leads to what it needs.
 *
 * @param files sizes and sums of what lies in the folder; the links are added
 */
export function linkCudaLibraries(folder, files) {
  const libraries = join(folder, 'nvidia/cusolver/lib');
  if (!existsSync(libraries)) return;
  for (const name of readdirSync(libraries).filter((file) => file.includes('.so'))) {
    const link = join('nvidia/cusparse/lib', name);
    if (!existsSync(join(folder, link))) symlinkSync(join('../../cusolver/lib', name), join(folder, link));
    files[link] = files[join('nvidia/cusolver/lib', name)];
  }
}

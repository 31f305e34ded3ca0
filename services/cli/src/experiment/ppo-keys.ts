import { DomainError } from '@surefoot/errors';
import { resolvePpoConfig, type PpoConfig } from '@surefoot/ppo';

/** Hyper-parameters as a YAML file writes them: the fields of PpoConfig, and `weightClamp: [min, max]`. */
export type PpoKeys = Record<string, unknown>;

/** What a run sets by itself, so that no file may. */
const runOwned = ['member'];

/**
 * The total configuration of one method.
 *
 * @param keys of the file, the method's own over those of all methods
 * @param where the file and key, for the error
 * @throws DomainError invalid_argument naming every unknown key and wrong value
 */
export function resolvePpoKeys(keys: PpoKeys, where: string): PpoConfig {
  const { weightClamp, ...fields } = keys;
  const owned = runOwned.filter((key) => key in fields);
  if (owned.length > 0) throw new DomainError('invalid_argument', `${where}: ${owned.join(', ')} is chosen by the run`);
  if (weightClamp !== undefined) Object.assign(fields, clampBounds(weightClamp, where));
  if (fields['weightClampMax'] === 'none') fields['weightClampMax'] = Infinity;
  try {
    return resolvePpoConfig(fields as Partial<PpoConfig>);
  } catch (error) {
    if (error instanceof DomainError) throw new DomainError(error.kind, `${where}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** The same configuration as a file writes it: every value, and no number that JSON lacks. */
export function ppoKeys(config: PpoConfig): PpoKeys {
  const { weightClampMin, weightClampMax, ...rest } = config;
  const keys: PpoKeys = {
    ...rest,
    weightClamp: [weightClampMin, weightClampMax === Infinity ? 'none' : weightClampMax],
  };
  for (const key of runOwned) delete keys[key];
  return keys;
}

function clampBounds(value: unknown, where: string): { weightClampMin: unknown; weightClampMax: unknown } {
  if (!Array.isArray(value) || value.length !== 2)
    throw new DomainError(
      'invalid_argument',
      `${where}: weightClamp must be [min, max], where max may be .inf or none`,
    );
  return { weightClampMin: value[0], weightClampMax: value[1] === 'none' ? Infinity : value[1] };
}

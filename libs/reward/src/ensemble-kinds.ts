import { adaptersEnsemble } from './adapters-ensemble';
import type { KindsOfEnsemble } from './ensemble-kind';
import { fullEnsemble } from './full-ensemble';
import { headsEnsemble } from './heads-ensemble';

export const kindsOfEnsemble: KindsOfEnsemble = {
  full: fullEnsemble,
  heads: headsEnsemble,
  adapters: adaptersEnsemble,
};

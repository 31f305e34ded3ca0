import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { computeSettings } from '@surefoot/service';
import { environmentName, serviceSettings } from './serve';

const source = (...path: string[]) => readFileSync(join(__dirname, '../../../..', ...path), 'utf8');
const variables = (text: string) => new Set(text.match(/SUREFOOT_[A-Z_]+/g));

describe('serve', () => {
  test.each(Object.entries(serviceSettings))('the flags of %s are its environment', (service, settings) => {
    const config = variables(source('services', service, 'src', 'config.ts'));
    if (service !== 'policy-trainer')
      for (const name of variables(source('libs/scoring-server/src/settings.ts'))) config.add(name);
    for (const name of Object.keys(computeSettings)) config.add(name);
    for (const name of ['SUREFOOT_LOG_LEVEL', 'SUREFOOT_DRAIN_MS']) config.add(name);
    expect(Object.keys(settings).map(environmentName).sort()).toEqual([...config].sort());
  });
});

import nx from '@nx/eslint-plugin';
import * as jsonc from 'jsonc-eslint-parser';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['**/dist/**', '**/gen/**', 'libs/tensor/kernels/**'] },
  { files: ['**/*.ts'], extends: [tseslint.configs.recommended] },
  {
    files: ['**/*.ts'],
    plugins: { '@nx': nx },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // The environment is read once, where a process starts.
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'read the environment in a main.ts and pass values on' },
        { object: 'Math', property: 'random', message: 'use a seeded stream of libs/tensor' },
      ],
      // Who may import whom; the layers are the tags in each package.json.
      '@nx/enforce-module-boundaries': [
        'error',
        {
          allow: [],
          banTransitiveDependencies: true,
          depConstraints: [
            { sourceTag: 'layer:base', onlyDependOnLibsWithTags: ['layer:base'] },
            { sourceTag: 'layer:contract', onlyDependOnLibsWithTags: [] },
            {
              sourceTag: 'layer:domain',
              onlyDependOnLibsWithTags: ['layer:base', 'layer:domain'],
              bannedExternalImports: ['@grpc/*', 'pino', 'zod'],
            },
            { sourceTag: 'layer:chassis', onlyDependOnLibsWithTags: ['layer:base', 'layer:contract', 'layer:chassis'] },
            {
              sourceTag: 'layer:serving',
              onlyDependOnLibsWithTags: ['layer:base', 'layer:contract', 'layer:domain', 'layer:chassis'],
            },
            {
              sourceTag: 'layer:service',
              onlyDependOnLibsWithTags: [
                'layer:base',
                'layer:contract',
                'layer:domain',
                'layer:chassis',
                'layer:serving',
              ],
            },
          ],
        },
      ],
    },
  },
  { files: ['**/src/main.ts', '**/*.test.ts'], rules: { 'no-restricted-properties': 'off' } },
  {
    // Every import must be declared: the images install declared dependencies only.
    files: ['libs/*/package.json', 'services/*/package.json'],
    plugins: { '@nx': nx },
    languageOptions: { parser: jsonc },
    rules: {
      '@nx/dependency-checks': [
        'error',
        {
          ignoredFiles: ['{projectRoot}/src/**/*.test.ts', '{projectRoot}/src/**/*testing*.ts'],
          // Loaded by its path (libs/tensor/src/webgpu/dawn.ts).
          ignoredDependencies: ['webgpu'],
        },
      ],
    },
  },
);

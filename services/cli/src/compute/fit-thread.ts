import { openFit, type EnsembleFit, type FitOptions, type FitProgress, type MemberEvaluation } from '@surefoot/reward';
import { DomainError } from '@surefoot/errors';
import { exposeToParent } from '@surefoot/service';
import { openBackend, type Backend, type BackendName, type BackendOptions } from '@surefoot/tensor';

let fit: EnsembleFit | undefined;

function opened(): EnsembleFit {
  if (!fit) throw new DomainError('failed_precondition', 'no fit is open');
  return fit;
}

/** One of the threads of a fit, each with a backend of its own. */
const procedures = {
  async open({ name, backend, options }: { name: BackendName; backend: BackendOptions; options: FitOptions }) {
    const computes: Backend = await openBackend(name, backend);
    const onProgress = (step: FitProgress) => void parent('report', step);
    fit = await openFit({ ...options, onProgress, onWarning: (message) => void parent('warn', message) });
    return computes;
  },
  begin: () => opened().begin(),
  fitMember: (k: number) => opened().fitMember(k),
  finish: (evaluations: MemberEvaluation[]) => opened().finish(evaluations),
};

export type FitProcedures = typeof procedures;

const parent = exposeToParent<{ report: (step: FitProgress) => void; warn: (message: string) => void }>(procedures);

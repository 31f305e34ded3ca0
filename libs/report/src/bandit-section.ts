import {
  banditCases,
  banditPolicy,
  simulateBandit,
  stepLowerBound,
  type BanditCase,
  type SimulationOptions,
} from '@surefoot/risk';
import { banditCharts, type BanditResult } from './bandit-charts';
import type { Drawing } from './drawing';
import { figureGrid } from './figure';
import { html, type SafeHtml } from './html';
import type { Section } from './page';

/** Simulates a case, and asks each mode what it chooses where the estimates happen to be right. */
export function solveBandit({ name, title, shows, bandit }: BanditCase, options: SimulationOptions): BanditResult {
  const simulated = simulateBandit(bandit, options);
  const { means, variances, reference } = bandit;
  const estimate = { reward: means, variances, members: [means] };
  const policies = simulated.map(({ mode, beta }) => {
    const policy = banditPolicy(mode, reference, estimate)(beta);
    const step = policy.map((p, i) => p - reference[i]!);
    return { mode, policy, gainAtLeast: stepLowerBound(step, means, variances, 0.05) };
  });
  return { name, title, shows, bandit, policies, simulated };
}

const settings = { kl: 0.2, draws: 1000, seed: 1 };

let solved: BanditResult[] | undefined;

/** The same for every report, and a second's work: done once in a process. */
function solvedCases(): BanditResult[] {
  return (solved ??= banditCases
    .filter(({ name }) => name === 'favourable' || name === 'unfavourable')
    .map((each) => solveBandit(each, settings)));
}

/** Why it may help and when it may harm, on three arms: the same in every report. */
export function banditSection(drawing: Drawing): Section {
  return {
    heading: 'Why, in a world of three responses',
    introduction: `A simulation, not this experiment: three possible responses (arms) whose true values are known, and reward models that are wrong about each by a known amount. The case for caution, and the case against it. ${simulationText(settings)} surefoot bandit draws more of them, so that its numbers differ a little from these and are the better ones.`,
    body: banditBody(drawing, solvedCases()),
  };
}

/** How the modes were compared. */
export function simulationText({ kl, draws }: { kl: number; draws: number }): string {
  return `Every mode is at a mean KL of ${kl} nats to the reference, over ${draws.toLocaleString('en')} draws of the reward models' errors.`;
}

/** The figures of each case, and what of them holds for a language model. */
export function banditBody(drawing: Drawing, results: readonly BanditResult[]): SafeHtml {
  const cases = results.map((result) => {
    const { arms, policies, gains } = banditCharts(drawing, result);
    return figureGrid([
      { ...arms, caption: `${result.shows} ${arms.caption}` },
      { ...policies, title: `${result.title}: what each mode chooses` },
      { ...gains, title: `${result.title}: what each mode gains` },
    ]);
  });
  return html`${cases} ${stepToLanguageModel}`;
}

const stepToLanguageModel = html`<h3>From the bandit to a language model</h3>
  <dl class="terms">
    <div>
      <dt>An arm becomes a whole response.</dt>
      <dd>
        The bandit sees all of its few arms and knows how often it gives each. A language model has more responses than
        could ever be listed: it draws some, has them scored, and makes their tokens more or less likely.
      </dd>
    </div>
    <div>
      <dt>The price of moving away is paid token by token, or at the end.</dt>
      <dd>
        The policies above are exact where a response is one token. In a longer one, each token may pay for its own
        change of probability (klPlacement: token). It then does not pay for the tokens before it, which matters where
        the variance depends on what comes later. Or the whole price stands at the last token (klPlacement: terminal),
        as in the bandit. These are different methods: where a comparison mixes them, the report warns of it.
      </dd>
    </div>
    <div>
      <dt>The variance is an estimate.</dt>
      <dd>
        The bandit knows how wrong its reward models are. In training, the variance s² of a response is that of the
        members’ scores; of ten members it is off by about half (47 %) of itself. It is divided by its mean over
        responses of the start policy, so that its size does not depend on the units of the scores. What all members get
        wrong together it does not see.
      </dd>
    </div>
    <div>
      <dt>Nobody solves for the best policy.</dt>
      <dd>
        PPO takes small, clipped steps from a finite number of samples, with a learned guess of what a response will be
        worth, and stops after a set number of them. Responses share their weights: to move one is to move others.
      </dd>
    </div>
    <div>
      <dt>What stays.</dt>
      <dd>
        Methods compare fairly only at an equal distance from the start (KL). And the case against caution stays: where
        the uncertain responses are the best ones, keeping away from them costs.
      </dd>
    </div>
  </dl>`;

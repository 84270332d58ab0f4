"""ARKD as its authors' code has it, which is another method than their paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from arkd.method import Axis, Context, Need, Reference, Run, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD_CODE

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ArkdCode(WeightedDivergences):
    """A coin with bias π(s) makes each batch pure forward or pure reverse KL.

    Both are weighted, token by token, by AKL's head ratio. The policy learns from the student's
    ROUGE-L on development text, a few times a run.
    """

    reward_every: int = 100
    rewards_an_update: int = 5
    epochs: int = 3
    policy_lr: float = 1e-4
    gamma: float = 0.99
    entropy_weight: float = 0.01
    weighting: Literal["head_ratio", "head_and_tail", "none"] = "head_ratio"
    credit: Literal["window", "first_actions"] = "window"
    entropy: Literal["coin", "taken_action"] = "coin"
    reward_text: Literal["response", "example"] = "response"

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "labels", "rewards")
    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "the authors' code: a coin chooses the divergence of each batch"
    equation: ClassVar[str] = (
        "L = mean h·(a·FKL + (1 − a)·RKL), a ~ Bernoulli(π(s)), h = g_head/(g_head + g_tail); "
        "r = ROUGE-L − 0.5 every k steps; L_π = −mean log π(a)·G − β_H·mean H"
    )
    reference: ClassVar[Reference] = ARKD_CODE
    deviations: ClassVar[tuple[str, ...]] = (
        "Fixed for good: the code cannot run as published (missing imports, a development split "
        "that does not exist, tensors on two devices).",
        "Fixed for good, since the cache holds response positions alone: divergences are means "
        "over response tokens; the code includes prompt and padding.",
        "Fixed for good, since the teacher's values are cached: the teacher stays in evaluation "
        "mode; in the code its dropout is on from the first reward to the end.",
        "Fixed by `reward_text`: the reward is read from an answer to the prompt; the code "
        "(`example`) continues the whole example, answer included, so that ROUGE-L is 1 at best "
        "and the reward a constant.",
        "The reward is sampled on 32 development prompts; the code searches with four beams over "
        "a whole split.",
        "A reward is measured before the update of its step, every 100th; the code measures it "
        "after that of its batches 100, 200, …, counted from 0: two updates later.",
        "Fixed by `credit`: each action is paired with the return of its own window of steps, mean "
        "over actions; the code (`first_actions`) sums over the first five, one for each return.",
        "Fixed by `entropy`: the coin's entropy, mean over actions; the code (`taken_action`) sums "
        "−π(a)·log π(a) over the actions taken.",
        "Kept by `weighting`: the head ratio weighs both divergences; `head_and_tail` is AKL's "
        "rule, which the tail ratio among the features suggests.",
        "Kept: no temperature is in the code; the suite's is used. Network and features are the "
        "code's, three of them constant zeros and none normalised.",
        "A run's epochs are thirds of its steps, since suites count steps.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "reward_every": "main.py: every 100 batches; 22 updates in the authors' 11,000 steps, so a "
        "short run may have none",
        "rewards_an_update": "reinforce_agent.py: 5",
        "epochs": "config.py: 3; scales the first feature",
        "policy_lr": "config.py: Adam, 1e-4",
        "gamma": "config.py: 0.99",
        "entropy_weight": "config.py: 0.01",
        "weighting": "kl_loss.py",
        "credit": "ours; see deviations",
        "entropy": "ours; see deviations",
        "reward_text": "ours; see deviations",
    }

    def __post_init__(self) -> None:
        """Refuse settings outside of their ranges."""
        for name, least in (("reward_every", 1), ("rewards_an_update", 2), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, found {getattr(self, name)}")
        if self.policy_lr <= 0:
            raise ValueError(f"policy_lr must be above 0, found {self.policy_lr}")

    def start(self, run: Run) -> CodeAgent:
        """Return a fresh agent whose weights depend on the run's seed alone."""
        return CodeAgent(run.seed, self)

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Throw the coin for the batch's state; learn when enough rewards are in."""
        import torch

        agent: CodeAgent = context.state
        signals = tools.signals(gaps=True)
        assert signals.head_gap_N is not None
        assert signals.tail_gap_N is not None
        gap_N = (signals.head_gap_N + signals.tail_gap_N).clamp_min(1e-10)
        head_N, tail_N = signals.head_gap_N / gap_N, signals.tail_gap_N / gap_N
        ratio_fkl_N = head_N if self.weighting != "none" else torch.ones_like(head_N)
        ratio_rkl_N = tail_N if self.weighting == "head_and_tail" else ratio_fkl_N
        epoch, within = divmod(context.step * self.epochs / context.steps, 1)
        features = [
            *(epoch / self.epochs, within),
            float((ratio_fkl_N * signals.fkl_N).mean()),
            float((ratio_rkl_N * signals.rkl_N).mean()),
            *(float(head_N.mean()), float(tail_N.mean()), float(signals.nll_N.mean())),
            *(0.0, 0.0, 0.0),
        ]
        action, alpha = agent.act(features, context.step)
        log = {"alpha": float(action), "policy_alpha": alpha}
        if (context.step + 1) % self.reward_every == 0:
            rouge_l = tools.rouge_l() if self.reward_text == "response" else 1.0
            log["reward"] = agent.reward(rouge_l - 0.5)
        if len(agent.rewards) >= self.rewards_an_update:
            log["policy_loss"] = agent.learn()
        return Weights(action * ratio_fkl_N, (1 - action) * ratio_rkl_N, log)


class CodeAgent:
    """The code's policy (10 → 128 → 128 → 1, sigmoid) and what it has stored since it learnt."""

    def __init__(self, seed: int, method: ArkdCode) -> None:
        import torch
        from torch import nn

        from arkd.seeding import derive_seed

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("policy", seed))
            layers = [nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
            self.net = nn.Sequential(*layers, nn.Linear(128, 1))
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=method.policy_lr)
        self.method = method
        self.seed = seed
        self.features: list[list[float]] = []
        self.actions: list[int] = []
        self.windows: list[int] = []  # for each action, how many rewards were in before it
        self.rewards: list[float] = []

    def act(self, features: list[float], step: int) -> tuple[int, float]:
        """Return the coin's side (1: forward KL) and its bias."""
        from random import Random

        import torch

        from arkd.seeding import derive_seed

        with torch.no_grad():
            alpha = float(self.net(torch.tensor(features)).sigmoid())
        action = int(Random(derive_seed("action", self.seed, step)).random() < alpha)
        self.features.append(features)
        self.actions.append(action)
        self.windows.append(len(self.rewards))
        return action, alpha

    def reward(self, value: float) -> float:
        """Store a reward; it ends a window of actions."""
        self.rewards.append(value)
        return value

    def returns(self) -> list[float]:
        """Return the discounted returns of the stored rewards, normalised."""
        import torch

        returns: list[float] = []
        for reward in reversed(self.rewards):
            returns.insert(0, reward + self.method.gamma * (returns[0] if returns else 0.0))
        values = torch.tensor(returns, dtype=torch.float64)
        normal: list[float] = ((values - values.mean()) / (values.std() + 1e-9)).tolist()
        return normal

    def loss(self) -> Tensor:
        """Return the policy's loss over what is stored, differentiable."""
        import torch
        from torch.nn.functional import logsigmoid

        from arkd.methods._policy import binary_entropy

        returns = torch.tensor(self.returns(), dtype=torch.float32)
        logit_A = self.net(torch.tensor(self.features)).squeeze(-1)
        taken_A = torch.tensor(self.actions).bool()
        log_prob_A = logsigmoid(torch.where(taken_A, logit_A, -logit_A))
        if self.method.credit == "window":
            policy = -(log_prob_A * returns[torch.tensor(self.windows)]).mean()
        else:
            policy = -(log_prob_A[: len(returns)] * returns).sum()
        if self.method.entropy == "coin":
            entropy = binary_entropy(logit_A).mean()
        else:
            entropy = -(log_prob_A.exp() * log_prob_A).sum()
        return policy - self.method.entropy_weight * entropy

    def learn(self) -> float:
        """Take one step of Adam on what is stored, and forget it."""
        loss = self.loss()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.features, self.actions, self.windows, self.rewards = [], [], [], []
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs."""
        lists = {
            name: getattr(self, name) for name in ("features", "actions", "windows", "rewards")
        }
        return {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict(), **lists}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name in ("features", "actions", "windows", "rewards"):
            setattr(self, name, list(state[name]))

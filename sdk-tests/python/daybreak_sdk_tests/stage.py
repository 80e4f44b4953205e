"""Agents and sessions to start from."""

from daybreak_sdk_tests.strict import StrictAnthropic
from daybreak_sdk_tests.talk import Talk

TOOLSET = {"type": "agent_toolset_20260401"}


class Stage:
    """Makes agents and sessions on one server; agents and the environment are made once."""

    def __init__(self, client: StrictAnthropic):
        self.client = client
        self._agents: dict[str, str] = {}
        self._environment: str | None = None

    @property
    def environment_id(self) -> str:
        if self._environment is None:
            self._environment = self.client.beta.environments.create(name="stage").id
        return self._environment

    def agent_id(self, scenario: str) -> str:
        if scenario not in self._agents:
            agent = self.client.beta.agents.create(
                name=scenario, model=f"rehearsal/{scenario}", tools=[TOOLSET]
            )
            self._agents[scenario] = agent.id
        return self._agents[scenario]

    def session(self, scenario: str = "parrot", **options):
        options = {"agent": self.agent_id(scenario), "environment_id": self.environment_id} | options
        return self.client.beta.sessions.create(**options)

    def talk(self, scenario: str = "parrot", **options) -> Talk:
        return Talk(self.client, self.session(scenario, **options).id)

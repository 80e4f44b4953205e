import os
from anthropic import Anthropic

client = Anthropic(base_url="http://127.0.0.1:8787", api_key=os.environ["DAYBREAK_API_KEY"])
agent = client.beta.agents.create(name="Echo", model="rehearsal/echo", tools=[{"type": "agent_toolset_20260401"}])
environment = client.beta.environments.create(name="local")
session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
with client.beta.sessions.events.stream(session.id) as stream:
    message = {"type": "user.message", "content": [{"type": "text", "text": "run: uname -a"}]}
    client.beta.sessions.events.send(session.id, events=[message])
    for event in stream:
        print(event.type, *(block.text for block in getattr(event, "content", None) or [] if block.type == "text"))
        if event.type in ("session.status_idle", "session.status_terminated"):
            break

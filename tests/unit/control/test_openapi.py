"""The OpenAPI document is valid, and says what the routes do."""

from hashlib import sha256
from pathlib import Path

import orjson
from openapi_spec_validator import validate

from replicator.control.openapi import openapi
from replicator.model.operations.access import Role
from tests.control_client import client
from tests.control_client.client.api.jobs import get_job, list_jobs, submit_job
from tests.control_client.client.api.plans import make_plan, run_plan
from tests.control_client.client.models import (
    JobState,
    JobsView,
    JobView,
    PlanView,
    ProblemDocument,
    RunPlanRequest,
    UndeleteRequest,
    VerifyRequest,
)
from tests.unit.control.stage import ended, served

MADE_OF = Path(client.__file__).parent.parent / "made_of.sha256"
PLANNED = {"plan": {"offset": 7, "segments": 2, "other_rows": 0, "rows_removed": 1}, "done": False}


async def test_the_document_is_valid_and_the_client_in_the_tests_was_made_of_it(tmp_path: Path):
    """Make it again with `make client` when a route or a type has changed."""
    async with served(tmp_path) as stage:
        document = openapi(stage.control.table)
        validate(document)
        operations = [
            one["operationId"] for path in document["paths"].values() for one in path.values()
        ]
        assert len(operations) == len(set(operations)) > 15
        told = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    assert sha256(told).hexdigest() == MADE_OF.read_text().strip()


async def test_the_client_that_is_made_of_the_document_does_what_an_operator_does(tmp_path: Path):
    async with served(tmp_path) as stage:
        token = await stage.token(Role.ADMIN)
        asks = client.AuthenticatedClient(base_url=stage.control.url, token=token)
        async with asks:
            job = await submit_job.asyncio(
                client=asks, body=VerifyRequest(target="standby"), wait=5.0
            )
            assert isinstance(job, JobView)
            assert job.state is JobState.DONE
            stage.program.says.append(lambda _: ended(PLANNED))
            wish = UndeleteRequest(datasource="orders", on="standby")
            plan = await make_plan.asyncio(client=asks, body=wish, wait=5.0)
            assert isinstance(plan, PlanView)
            done = await run_plan.asyncio(
                client=asks, body=RunPlanRequest(digest=plan.digest), wait=5.0
            )
            assert isinstance(done, JobView)
            assert done.plan == plan.digest
            listed = await list_jobs.asyncio(client=asks)
            assert isinstance(listed, JobsView)
            assert [one.verb for one in listed.jobs] == ["undelete", "undelete plan", "verify"]
            missing = await get_job.asyncio(id="none", client=asks)
            assert isinstance(missing, ProblemDocument)
            assert missing.status == 404

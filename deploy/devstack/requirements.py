"""What the embedded stack needs on this machine, for `orderbus doctor`: a version each, or StackError."""

import asyncio

from deploy.devstack import kafka_jars
from deploy.devstack.errors import MissingPart
from deploy.devstack.java import find_java
from deploy.devstack.postgres import find_programs


async def java() -> str:
    found = find_java()
    return f"{found.version} ({found.executable})"


async def kafka_program() -> str:
    folder = kafka_jars.cache_folder()
    there = len(list(folder.glob("**/*.jar")))
    if not there:
        raise MissingPart(
            f"Kafka {kafka_jars.VERSION} is not downloaded yet: `orderbus up` does it (43 MB, once per user)"
        )
    return f"{kafka_jars.VERSION}, {there} files in {folder}"


async def postgres_program() -> str:
    process = await asyncio.create_subprocess_exec(
        str(find_programs() / "postgres"), "--version", stdout=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0].decode().strip()


REQUIREMENTS = {"Java": java, "Kafka program": kafka_program, "PostgreSQL program": postgres_program}

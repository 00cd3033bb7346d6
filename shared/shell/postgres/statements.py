"""The SQL of the shell's own tables, and how several statements become one.

Parameters are written `:name`; the driver gets `$1`, `$2` …
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

_PARAMETER = re.compile(r"(?<!:):([a-z]\w*)")


class Sql:
    """A statement with named parameters. Made once, for its text is what the driver's cache of plans goes by."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.names = tuple(dict.fromkeys(_PARAMETER.findall(source)))
        self.text = self.numbered(0)

    def numbered(self, first: int) -> str:
        """The text for the driver, whose parameters begin after the given number."""
        numbers = {name: first + index for index, name in enumerate(self.names, 1)}
        return _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", self.source)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.names]


@cache
def together(parts: tuple[Sql, ...], *, notify: bool = False) -> str:
    """Statements that write to different rows as one, which is one round trip instead of one each. Its only row has the
    list of what each part `returning … as result` gave, in their order. `notify`: tell the relay as well."""
    first, named, results = 0, [], []
    for index, part in enumerate(parts):
        named.append(f"part{index} as ({part.numbered(first)})")
        first += len(part.names)
        if " as result" in part.source:
            results.append(f"array(select result from part{index} where result is not null)")
    if notify:
        results.append("pg_notify('outbox', '')")
    return f"with {', '.join(named)} select {', '.join(results) or 'true'}"


CLAIM = Sql("""
    insert into inbox (message_id, seen_at, content)
    select id, :at, content from unnest(cast(:ids as uuid[]), cast(:contents as bigint[])) as u(id, content)
    order by id on conflict do nothing
    returning message_id
""")
FORGET = Sql("delete from inbox where message_id = any(cast(:ids as uuid[]))")
CONTENTS = Sql("select message_id, content from inbox where message_id = any(cast(:ids as uuid[]))")
# A statement of its own, after the claim: that one may have waited for another worker, which parked the message that
# both had, and a statement does not see what was committed while it waited.
BEHIND = Sql("""
    select key, case when bool_and(reason = 'newer') then 'newer' else 'failed' end
    from (
        select key, reason from parked where key = any(cast(:keys as text[])) and origin <> 'projected' for share
    ) rows group by key
""")
# Queues are full of rows that have just died, and their statistics are of another moment. Rows are therefore named as
# arrays of ids, which the planner can only look up: it may execute a join with the values by scanning the table.
FINISH = Sql("""
    delete from operations
    where id = any(cast(:ids as uuid[])) and leased_by = :worker and lease = :lease returning id
""")
FIRE = Sql("""
    delete from timers t using unnest(cast(:keys as text[]), cast(:names as text[]), cast(:ids as uuid[]))
        as u(key, name, id)
    where t.key = any(cast(:keys as text[])) and t.key = u.key and t.name = u.name and t.id = u.id
    returning t.key, t.name
""")
PUBLISH = Sql("""
    insert into outbox (topic, key, headers, body)
    select topic, key, headers, body from unnest(cast(:topics as text[]), cast(:keys as text[]),
        cast(:headers as text[]), cast(:bodies as bytea[]))
        with ordinality as u(topic, key, headers, body, n) order by n
""")
_REQUEST = """
    insert into operations (id, key, kind, payload, meta, due, requested_at, destination, serial, attempts, lease,
        leased_by, leased_until, in_doubt, abandoned, expires, error, history, occurred)
    select id, key, kind, payload, meta, due, requested_at, destination, serial,
        case when begun and not waits then 1 else 0 end,
        case when waits then 0 else lease end, case when waits then '' else worker end,
        case when waits then null else until end, begun and not waits, false, expires, '', '[]', occurred
    from (
        select u.*, {waits} as waits
        from unnest(cast(:ids as uuid[]), cast(:keys as text[]), cast(:kinds as text[]), cast(:payloads as text[]),
            cast(:metas as text[]), cast(:dues as timestamptz[]), cast(:requested as timestamptz[]),
            cast(:destinations as text[]), cast(:serials as boolean[]), cast(:leases as int[]),
            cast(:workers as text[]), cast(:untils as timestamptz[]), cast(:expiries as timestamptz[]),
            cast(:occurred as timestamptz[]), cast(:begun as boolean[]))
            with ordinality
            as u(id, key, kind, payload, meta, due, requested_at, destination, serial, lease, worker, until, expires,
                occurred, begun, n)
    ) born
    order by n
    returning case when leased_by <> '' then id end as result
"""
_BEHIND_ANOTHER = """serial and (
            row_number() over (partition by serial, key order by n) > 1
            or exists (select from operations o where o.serial and o.key = u.key))"""
REQUEST, REQUEST_SERIAL = Sql(_REQUEST.format(waits="false")), Sql(_REQUEST.format(waits=_BEHIND_ANOTHER))
"""Where none of the operations is serial, and where some are."""
CANCEL_TIMERS = Sql("""
    delete from timers t using unnest(cast(:keys as text[]), cast(:names as text[])) as u(key, name)
    where t.key = any(cast(:keys as text[])) and t.key = u.key and t.name = u.name
""")
SET_TIMERS = Sql("""
    insert into timers (key, name, due, kind, payload, meta, id, occurred)
    select * from unnest(cast(:keys as text[]), cast(:names as text[]), cast(:dues as timestamptz[]),
        cast(:kinds as text[]), cast(:payloads as text[]), cast(:metas as text[]), cast(:ids as uuid[]),
        cast(:occurred as timestamptz[])) as u
    on conflict (key, name) do update set due = excluded.due, kind = excluded.kind,
        payload = excluded.payload, meta = excluded.meta, id = excluded.id, occurred = excluded.occurred
""")
PARK = Sql("""
    insert into parked (key, message_id, origin, kind, topic, partition, record_offset, record_key, headers, body,
        reason, error, parked_at, identity)
    values (:key, :message_id, :origin, :kind, :topic, :partition, :offset, :record_key, :headers, :body,
        :reason, :error, :at, :identity)
""")
KEEP_REPLY = Sql("""
    insert into replies (id, fingerprint, code, text, problems) values (:id, :fingerprint, :code, :text, :problems)
    on conflict (id) do update set fingerprint = excluded.fingerprint, code = excluded.code, text = excluded.text,
        problems = excluded.problems, replied_at = excluded.replied_at
""")
_OPERATION = (
    "o.id, o.key, o.kind, o.payload, o.meta, o.due, o.requested_at, o.destination, o.serial, o.attempts, o.lease, "
    "o.leased_by, o.leased_until, o.in_doubt, o.abandoned, o.expires, o.error, o.history, o.occurred"
)
_LEASE = f"""
    with due as (
        select found.id from unnest(cast(:kinds as text[]), cast(:limits as int[])) as asked(kind, most)
        cross join lateral (
            select id from operations o
            where kind = asked.kind and due > :since and due <= :now
                and (leased_until is null or leased_until < :now)
                and id <> all(cast(:without as uuid[]))
                and not (serial and exists (
                    select from operations e where e.serial and e.key = o.key and e.id <> o.id
                        and (e.position < o.position or e.leased_until >= :now)))
                and %s
            order by due limit asked.most for update skip locked
        ) found
        %s
    )
    update operations o set lease = o.lease + 1, leased_by = :worker,
        leased_until = cast(:now as timestamptz) + make_interval(
            secs => (cast(:seconds as float8[]))[array_position(cast(:kinds as text[]), o.kind)]),
        abandoned = o.abandoned or o.leased_by <> ''
    where o.id = any(array(select id from due))
    returning {_OPERATION}
"""
_REACHABLE = """(
    (destination <> all(cast(:avoid as text[])) and destination not in (select name from destinations))
    or expires <= :now)"""
# Each kind has its own limit: one that has hardly any room left takes nothing from the others.
LEASE = Sql(_LEASE % (_REACHABLE, ""))
LEASE_PROBE = Sql(_LEASE % ("destination = :destination", "limit 1"))
_PAUSE = "name, paused_at, reason, paused_by, probe_at, probes"
PAUSED = Sql(f"select {_PAUSE} from destinations order by paused_at, name")
PAUSE = Sql(f"""
    insert into destinations ({_PAUSE}) values (:destination, :at, :reason, :by, :probe_at, :probes)
    on conflict (name) do nothing
""")
CLAIM_PROBE = Sql("""
    update destinations set probe_at = :next, probes = probes + 1 where name = :destination and probe_at = :probe_at
""")
RESUME = Sql("delete from destinations where name = :destination")
BEGIN_CALLS = Sql("""
    update operations set attempts = :attempts, in_doubt = true
    where id = any(cast(:ids as uuid[])) and leased_by = :worker and lease = :lease returning id
""")
POSTPONE = Sql("""
    update operations o set due = u.due, leased_until = null, leased_by = '', attempts = u.attempts,
        in_doubt = u.in_doubt, abandoned = u.abandoned, error = u.error, history = u.history
    from unnest(cast(:ids as uuid[]), cast(:workers as text[]), cast(:leases as int[]), cast(:dues as timestamptz[]),
        cast(:attempts as int[]), cast(:in_doubt as boolean[]), cast(:abandoned as boolean[]), cast(:errors as text[]),
        cast(:histories as text[])) as u(id, worker, lease, due, attempts, in_doubt, abandoned, error, history)
    where o.id = any(cast(:ids as uuid[])) and o.id = u.id and o.leased_by = u.worker and o.lease = u.lease
""")
RELAY_LOCK = 0x6F627573  # "obus"
# A relay in trouble closes its session, so an old session belongs to a working relay.
GAUGE = Sql("""
    select (select count(*) from outbox) as outbox,
        coalesce((select extract(epoch from clock_timestamp() - min(created_at)) from outbox), 0) as outbox_age_seconds,
        (select count(*) from operations) as operations,
        (select count(*) from operations where due < clock_timestamp() - interval '1 minute'
            and destination not in (select name from destinations)) as operations_late,
        (select count(*) from operations where in_doubt and (leased_until is null or leased_until < clock_timestamp()))
            as operations_in_doubt,
        (select count(*) from destinations) as destinations_paused,
        (select count(*) from timers) as timers,
        (select count(*) from timers where due < clock_timestamp() - interval '1 minute') as timers_late,
        (select count(*) from parked where reason <> 'newer') as parked,
        (select count(*) from parked where reason = 'newer') as waiting_for_newer,
        (select count(*) from undeliverable) as undeliverable,
        coalesce((select extract(epoch from clock_timestamp() - max(a.backend_start))
            from pg_locks l join pg_stat_activity a using (pid)
            where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = :relay_lock and l.objsubid = 1
                and l.database = (select oid from pg_database where datname = current_database())), 0)
            as relay_session_seconds
""")
# `leased_by` stays: it says that the lease ended without a report.
RELEASE = Sql("""
    update operations set leased_until = null, lease = lease + 1
    where leased_by = :worker and leased_until is not null
""")
DUE_TIMERS = Sql("""
    select key, name, due, kind, payload, meta, id, occurred from timers
    where due <= :now and (due, key, name) > (:due, :key, :name) order by due, key, name limit :limit
""")
# What is large comes without its contents, which are read afterwards as far as they are needed: a running sum of sizes
# in this statement doubled its time. `octet_length` reads no value that is stored outside its row.
OUTBOX_HEAD = Sql("""
    select topic, key, case when size <= :small then headers end, case when size <= :small then body end, id, size
    from (
        select topic, key, headers, body, id, octet_length(headers) + octet_length(body) as size from outbox
        where id > :after and topic <> all(cast(:without as text[])) order by id limit :limit
    ) head
""")
OUTBOX_ROWS = Sql("select topic, key, headers, body, id from outbox where id = any(cast(:ids as bigint[]))")
OUTBOX_HIGHEST = Sql("select coalesce(max(id), 0) from outbox")
# Transactions that only read (a backup) have no number. The snapshot's `xmax` knows of those that have ended only, so a
# number of its own is what all in progress are below.
RUNNING = Sql("""
    select cast(cast(pg_snapshot_xmin(pg_current_snapshot()) as text) as bigint),
        cast(cast(pg_current_xact_id() as text) as bigint)
""")
OUTBOX_SENT = Sql("delete from outbox where id = any(cast(:ids as bigint[]))")
# Measured: 3 µs a row more than the deletion alone.
OUTBOX_SENT_KEPT = Sql("""
    with gone as (
        delete from outbox where id = any(cast(:ids as bigint[])) returning id, topic, key, headers, body
    )
    insert into outbox_sent (id, topic, key, headers, body)
    select id, topic, key, headers, body from gone where topic = any(cast(:kept as text[]))
""")
# As many as have `most` bytes together, and one more; without their contents where these are not asked for.
_PARKED = """
    select key, message_id, origin, kind, topic, partition, record_offset, record_key,
        case when :brief then '' else headers end, case when :brief then null else body end,
        reason, error, parked_at, id, identity
    from (
        select *, coalesce(sum(octet_length(headers) + coalesce(octet_length(body), 0)) over (
            order by id rows between unbounded preceding and 1 preceding), 0) as before
        from (
            select * from parked {where} order by id limit :limit
        ) head
    ) sized
    where :brief or before < :most order by id
"""
ALL_PARKED, PARKED_OF = Sql(_PARKED.format(where="")), Sql(_PARKED.format(where="where key = :key"))
PARKED_AGAIN = Sql("update parked set error = :error, reason = :reason where id = :id")
WAITING_FOR_NEWER = Sql("""
    select id, key from parked p
    where reason = 'newer' and id > :after
        and not exists (select from parked earlier where earlier.key = p.key and earlier.id < p.id)
    order by id limit :limit
""")
UNPARK = Sql("delete from parked where id = :id")
REPLY = Sql("select id, fingerprint, code, text, problems from replies where id = :id")
PING = Sql("select 1")
NOW = Sql("select clock_timestamp()")
# Of two members of which one has just lost the partition to the other, the one that has come further is right.
KEEP_POSITIONS = Sql("""
    insert into read_positions as p (topic, partition, next_offset)
    select * from unnest(cast(:topics as text[]), cast(:partitions as int[]), cast(:offsets as bigint[]))
        as u(topic, partition, next_offset) order by topic, partition
    on conflict (topic, partition) do update set next_offset = greatest(p.next_offset, excluded.next_offset)
""")
POSITIONS = Sql("select topic, partition, next_offset from read_positions")
UNFINISHED_RESTORE = Sql("select restored_to from restore_epoch where caught_up_at is null")
RESTORE_EPOCH = Sql("select coalesce(max(number), 0) from restore_epoch")

MARK_UNDELIVERABLE = Sql("""
    with refused as (
        delete from outbox o using unnest(cast(:ids as bigint[]), cast(:reasons as text[])) as u(id, reason)
        where o.id = u.id returning o.id, o.topic, o.key, o.headers, o.body, o.created_at, u.reason
    )
    insert into undeliverable (id, topic, key, headers, body, created_at, reason) select * from refused
""")
# Only one transaction at a time moves rows between outbox and undeliverable; a dump or a reader need not wait.
LOCK_UNDELIVERABLE = Sql("lock table undeliverable in share row exclusive mode")
WAIT_BEHIND = Sql("""
    with behind as (
        delete from outbox o where id = any(cast(:ids as bigint[]))
            and exists (select from undeliverable u where u.key = o.key and u.topic = o.topic)
        returning id, topic, key, headers, body, created_at
    )
    insert into undeliverable (id, topic, key, headers, body, created_at, reason)
    select id, topic, key, headers, body, created_at, '' from behind returning id
""")
UNDELIVERABLE = Sql("""
    select id, topic, key, headers, substring(body for :shown), octet_length(headers) + octet_length(body), reason,
        refused_at
    from undeliverable where reason <> '' and id = coalesce(cast(:id as bigint), id) order by id limit :limit
""")
WAITING_BEHIND = Sql("select topic, key, count(*) from undeliverable group by topic, key")
SEND_AGAIN = Sql("""
    with chosen as (select topic, key from undeliverable where id = :id),
    back as (
        delete from undeliverable u using chosen where u.key = chosen.key and u.topic = chosen.topic
        returning u.id, u.topic, u.key, u.headers, u.body, u.created_at
    ),
    put_back as (
        insert into outbox (id, topic, key, headers, body, created_at) overriding system value
        select * from back where id <> :id or not :drop returning id
    )
    select (select count(*) from chosen), (select count(*) from put_back), pg_notify('outbox', '')
""")

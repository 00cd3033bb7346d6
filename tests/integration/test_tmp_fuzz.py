import asyncio, random
from collections import defaultdict
from tests.integration.test_sealed_codes import *
from shared.core import Retry

async def test_fuzz(engine):
    for seed in range(6):
        rng = random.Random(seed)
        await rows(engine, "delete from sealed_codes"); await rows(engine, "delete from codes"); await rows(engine, "delete from code_claims")
        gws = [Codes(engine, timedelta(seconds=1), CodeVault(Seals())) for _ in range(2)]
        pools = ["acme/keys", "acme/other"]
        # universe of codes: each belongs to one pool
        universe = {p: [f"{p[-1]}{i}" for i in range(30)] for p in pools}
        owner = defaultdict(set)   # code -> set of (order,item) that were told
        bad = []
        async def do(op):
            for _ in range(200):
                a = await rng.choice(gws).perform(op, str(uuid4()))
                if isinstance(a, Outcome): return a
                await asyncio.sleep(0.01*rng.random())
            raise AssertionError(a)
        async def worker(n):
            for k in range(12):
                p = rng.choice(pools); order = f"o-{rng.randrange(12)}-{p[-1]}"
                c = rng.random()
                if c < .35:
                    a = await do(TakeCode(p, order, "1", 1 + int(order.split('-')[1]) % 3))
                    if isinstance(a, TakeCode.Done):
                        for code in a.codes: owner[code].add(order)
                elif c < .6:
                    await do(StoreCodes(p, tuple(rng.sample(universe[p], 5))))
                elif c < .7:
                    try: await CodeImport(engine, CodeVault(Seals())).run(p, "\n".join(rng.sample(universe[p], 6)).encode())
                    except sa.exc.SQLAlchemyError as e: print("import", type(e).__name__)
                elif c < .9:
                    code = rng.choice(universe[rng.choice(pools)])
                    a = await do(GiveCodes(rng.choice([p, "acme/"]), order, "1", (code,), keep=True))
                    if isinstance(a, GiveCodes.Done): owner[code].add(order)
                else:
                    try: await clear(engine, *rng.sample(universe[p], 1)) if p == POOL else None
                    except sa.exc.IntegrityError: pass
                    if rng.random() < .5: await seal_clear_codes(engine, CodeVault(Seals()))
        await asyncio.gather(*(worker(n) for n in range(8)))
        double = {code: who for code, who in owner.items() if len(who) > 1}
        print("seed", seed, "told", len(owner), "double", double)
        for code in list(double)[:3]:
            v = CodeVault(Seals())
            async with engine.begin() as cn:
                await v.unlock(cn)
                d = v.digest(code)
            print(code, [tuple(r) for r in await rows(engine, "select key, order_key, item, unit, number from sealed_codes where digest = :d", d=d)], [tuple(r) for r in await rows(engine, "select key, order_key, item from codes where code = :c", c=code)])

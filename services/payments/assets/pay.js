// The pay page: sends the form once, waits for the result, and says it. Without it the page works by form and link, but
// for the card fields of the provider, whose script needs this one.
"use strict";

(() => {
  const FIRST_LOOK = 700;
  const LONGEST_LOOK = 4000;
  const LOOKS_FOR = 120000; // milliseconds

  const texts = document.body.dataset;
  const live = document.getElementById("live");
  let busy = false;
  let elements = null;
  let stripe = null;

  const main = () => document.getElementById("main");
  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  function say(text) {
    live.textContent = text;
  }

  function complain(text) {
    const error = document.getElementById("error");
    error.textContent = text;
    error.hidden = false;
    say("");
  }

  function setBusy(now) {
    busy = now;
    const button = document.querySelector("#pay button");
    if (button) button.setAttribute("aria-disabled", String(now));
  }

  // Shows the page that came as the answer. False: it is none.
  async function show(response) {
    if (!(response.headers.get("Content-Type") || "").startsWith("text/html")) return false;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const next = page.getElementById("main");
    if (!next) return false;
    const was = main().dataset;
    const same = was.situation === next.dataset.situation && was.attempt === next.dataset.attempt && "waits" in was === "waits" in next.dataset;
    if (same && "waits" in next.dataset) return true;
    document.title = page.title;
    main().replaceWith(document.adoptNode(next));
    setUp();
    const heading = main().querySelector("h1");
    if (!("waits" in main().dataset)) {
      say(heading.textContent);
      heading.focus();
    }
    return true;
  }

  async function look() {
    const started = Date.now();
    let wait = FIRST_LOOK;
    if ("waits" in main().dataset) say(texts.working);
    while ("waits" in main().dataset) {
      if (Date.now() - started > LOOKS_FOR) {
        say(texts.slow);
        return;
      }
      await pause(wait);
      wait = Math.min(wait * 1.3, LONGEST_LOOK);
      try {
        await show(await fetch(plain(), { cache: "no-store" }));
      } catch {
        say(texts.offline);
      }
    }
  }

  // The page's own address, without what the bank added.
  function plain() {
    return location.pathname;
  }

  // Customers who come back from the bank: its report may still be under way for a moment.
  async function lookAfterReturn() {
    say(texts.working);
    for (const wait of [500, 1000, 2000, 3000, 5000]) {
      await pause(wait);
      try {
        const response = await fetch(plain(), { cache: "no-store" });
        const page = await response.clone().text();
        if (wait === 5000 || !/data-situation="(card_)?confirm"/.test(page)) {
          await show(response);
          break;
        }
      } catch {
        say(texts.offline);
      }
    }
    await look();
  }

  async function chosen(form) {
    if (!document.getElementById("element")) return new FormData(form).get("payment_method");
    if (!elements) {
      complain(texts.unloaded);
      return "";
    }
    const checked = await elements.submit();
    if (checked.error) return ""; // the provider's fields say what is wrong, next to them
    const made = await stripe.createPaymentMethod({ elements });
    if (made.error) {
      complain(texts.unread);
      return "";
    }
    return made.paymentMethod.id;
  }

  async function pay(form) {
    if (busy) return;
    setBusy(true);
    document.getElementById("error").hidden = true;
    try {
      const card = await chosen(form);
      if (!card && document.getElementById("element")) return;
      const body = new URLSearchParams(new FormData(form));
      body.set("payment_method", card || "");
      say(texts.working);
      const shown = await show(await fetch(plain(), { method: "POST", body }));
      if (!shown) complain(texts.offline);
      await look();
      const bank = document.getElementById("bank");
      if (bank && main().dataset.attempt !== form.dataset.after) {
        location.assign(bank.href);
      }
    } catch {
      complain(texts.offline);
    } finally {
      setBusy(false);
    }
  }

  function mount(form) {
    const place = document.getElementById("element");
    if (!place) return;
    if (typeof window.Stripe !== "function") {
      complain(texts.unloaded);
      return;
    }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    stripe = stripe || window.Stripe(form.dataset.publishableKey, { locale: form.dataset.locale });
    const amount = form.dataset.amount ? { amount: Number(form.dataset.amount) } : {};
    elements = stripe.elements({
      mode: form.dataset.mode,
      ...amount,
      currency: form.dataset.currency,
      paymentMethodCreation: "manual",
      paymentMethodTypes: ["card"],
      appearance: { theme: dark ? "night" : "stripe" },
    });
    elements.create("payment").mount(place);
  }

  function setUp() {
    const form = document.getElementById("pay");
    elements = null;
    if (!form) return;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      pay(form);
    });
    mount(form);
  }

  setUp();
  if (location.search) history.replaceState(null, "", plain());
  const page = main();
  if (page && "waits" in page.dataset) {
    if (page.dataset.situation.endsWith("confirm")) lookAfterReturn();
    else look();
  }
  // What the browser kept from before is looked at anew: the order may be paid meanwhile.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
})();

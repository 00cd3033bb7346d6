// Stands for Stripe's script: the part of its interface that the pay page uses. The payment method is chosen by name.
"use strict";

window.Stripe = (key, options) => {
  window.stubbed = { key, options };
  let field = null;
  return {
    elements(settings) {
      window.stubbed.settings = settings;
      return {
        create: (kind) => ({
          mount(place) {
            const label = document.createElement("label");
            label.textContent = "Stub of the card fields";
            field = document.createElement("input");
            label.append(field);
            place.replaceChildren(label);
            window.stubbed.kind = kind;
          },
        }),
        submit: async () => (field.value ? {} : { error: { message: "Incomplete." } }),
      };
    },
    async createPaymentMethod() {
      window.stubbed.made = (window.stubbed.made || 0) + 1;
      if (field.value === "unreadable") return { error: { message: "The provider's words." } };
      return { paymentMethod: { id: `pm_stub${field.value}01` } };
    },
  };
};

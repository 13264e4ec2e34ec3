() => {
    // Answers are read out when they come, and each button that takes a file says which. Tabs are drawn when first opened.
    const tell = () => {
        document.querySelectorAll(".sentences").forEach(place => place.setAttribute("aria-live", "polite"));
        document.querySelectorAll("button[aria-dropeffect]").forEach(button => {
            const label = button.closest(".block")?.querySelector("[data-testid=block-label]");
            if (label) button.setAttribute("aria-label", `${label.innerText.trim()}: choose a file`);
        });
    };
    new MutationObserver(tell).observe(document.body, {childList: true, subtree: true});
    tell();
}

// Turns the open page of a built book into the whole book: title page, contents, all pages in their order. make_pdf.py prints it.
"use strict";
(() => {
  const REFERRING = ["for", "aria-labelledby", "aria-describedby", "aria-controls"];

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  /** The anchor of an address inside the whole book, "" if it leads out of the book. */
  function anchor(url, pages) {
    const place = pages.get(url.origin + url.pathname);
    return place === undefined ? "" : place + (url.hash && `--${decodeURIComponent(url.hash.slice(1))}`);
  }

  /** The article of a page, with anchors and links of its own. */
  async function article(address, pages) {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const style of page.querySelectorAll("link[rel=stylesheet]")) {
      const url = new URL(style.getAttribute("href"), address).href;
      if (![...document.styleSheets].some(({ href }) => href === url))
        document.head.append(make("link", { rel: "stylesheet", href: url }));
    }
    const found = document.importNode(page.querySelector(".bd-article"), true);
    const place = pages.get(address);
    for (const script of found.querySelectorAll("script, .headerlink")) script.remove();
    for (const element of found.querySelectorAll("[id]")) element.id = `${place}--${element.id}`;
    for (const name of REFERRING)
      for (const element of found.querySelectorAll(`[${name}]`))
        element.setAttribute(name, `${place}--${element.getAttribute(name)}`);
    for (const image of found.querySelectorAll("img[src]")) {
      image.src = new URL(image.getAttribute("src"), address).href;
      image.loading = "eager";
    }
    for (const link of found.querySelectorAll("a[href]")) lead(link, new URL(link.getAttribute("href"), address), pages);
    found.id = place;
    return found;
  }

  /** Point a link into the whole book, or out of it; one to a file beside the book leads nowhere. */
  function lead(link, url, pages) {
    const inside = anchor(url, pages);
    if (inside) link.setAttribute("href", `#${inside}`);
    else if (url.origin === location.origin) link.removeAttribute("href");
  }

  /** The part of the book that a link of the menu stands in, "" if in none. */
  function part(link) {
    const before = link.closest("ul.bd-sidenav, ul.nav")?.previousElementSibling;
    return before?.matches(".caption") ? before.textContent.trim() : "";
  }

  /** Make the page the whole book; for each of its pages the part, the title and the anchor. */
  window.wholeBook = async (title, author) => {
    const menu = document.querySelector(".bd-docs-nav");
    const links = [...menu.querySelectorAll("a[href]")];
    const addresses = [...new Set(links.map(({ href }) => href.split("#")[0]))];
    const pages = new Map(addresses.map((address) => [address, address.split("/").at(-1).replace(/\.html$/, "")]));
    const parts = addresses.map((address) => part(links.find(({ href }) => href.split("#")[0] === address)));
    const contents = menu.cloneNode(true);
    contents.className = "";
    for (const link of contents.querySelectorAll("a[href]")) lead(link, new URL(link.href), pages);
    const cover = new URL("words-to-pictures.png", document.querySelector("script[src*='/doctools.js']").src).href;
    const book = make(
      "main",
      { className: "bd-main whole-book" },
      make(
        "section",
        { className: "title-page bd-article" },
        make("h1", { textContent: title }),
        make("img", { src: cover, alt: "" }),
        make("p", { textContent: author }),
      ),
      make("nav", { className: "bd-article" }, make("h1", { textContent: "Contents" }), contents),
    );
    for (const address of addresses) book.append(await article(address, pages));
    document.body.replaceChildren(make("div", { className: "bd-content" }, book));
    document.title = title;
    await Promise.all([...document.images].map((image) => image.decode()));
    await document.fonts.ready;
    return addresses.map((address, i) => {
      const place = pages.get(address);
      return [parts[i], document.getElementById(place).querySelector("h1").textContent.trim(), place];
    });
  };
})();

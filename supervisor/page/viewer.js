// SPDX-License-Identifier: GPL-2.0-or-later
//
// The page around noVNC: one WebSocket is the screen, which is noVNC's, another tells who has
// control, and asks for it. What the keys of this page may do is decided at the other end: that this
// one sends none without control is for the person's sake.

import RFB from "./novnc/core/rfb.js";

const session = document.getElementById("session");
const state = document.getElementById("state");
const note = document.getElementById("note");
const again = document.getElementById("again");
const control = document.getElementById("control");
const screen = document.getElementById("screen");

let rfb = null; // the screen, while it is connected or connecting
let hands = null; // the other WebSocket, alike
let shown = false; // the screen's first picture has come
let holds = false; // this viewer has control
let told = {}; // what was last said about control
let ended = ""; // why there is no connection any more

function address(name) {
	const url = new URL(name, document.baseURI);
	url.protocol = "ws:";
	return url.href;
}

function describe() {
	if (ended) {
		return ended;
	}
	if (!shown) {
		return "Connecting…";
	}
	if (told.control === "you") {
		return "You have control; the agent waits";
	}
	if (told.control === "other") {
		return "Somebody else has control; you watch";
	}
	return told.may_control ? "You watch; the agent has control" : "You watch; this link is view only";
}

function show() {
	holds = !ended && told.control === "you";
	state.textContent = describe();
	note.textContent = told.note || "";
	again.hidden = !ended;
	control.hidden = Boolean(ended) || !told.may_control;
	control.disabled = !shown || told.control === "other";
	control.textContent = holds ? "Release control" : "Take control";
	control.setAttribute("aria-pressed", String(holds));
	document.body.classList.toggle("holds", holds);
	if (told.session) {
		session.textContent = told.session;
		document.title = `${told.session} – cloche`;
	}
	if (rfb) {
		rfb.viewOnly = !holds;
	}
}

function end(why) {
	ended = ended || why;
	const oldRfb = rfb;
	const oldHands = hands;
	rfb = null;
	hands = null;
	if (oldRfb) {
		oldRfb.disconnect();
	}
	if (oldHands) {
		oldHands.close();
	}
	show();
}

function connectScreen() {
	const mine = new RFB(screen, address("screen"), { shared: true, wsProtocols: ["binary"] });
	rfb = mine;
	rfb.viewOnly = true;
	rfb.scaleViewport = true;
	rfb.showDotCursor = true;
	rfb.qualityLevel = 9;
	rfb.background = "transparent";
	rfb.addEventListener("connect", () => {
		shown = true;
		show();
	});
	rfb.addEventListener("disconnect", () => {
		if (rfb === mine) {
			rfb = null;
			// The other WebSocket may have the reason on its way.
			setTimeout(() => {
				if (!rfb) {
					end("Disconnected");
				}
			}, 500);
		}
	});
}

function connectHands() {
	const mine = new WebSocket(address("hands"), "cloche-hands");
	hands = mine;
	hands.addEventListener("message", (event) => {
		if (hands !== mine) {
			return;
		}
		const hadControl = holds;
		told = JSON.parse(event.data);
		if (told.ended) {
			end(told.ended);
			return;
		}
		show();
		if (holds && !hadControl && rfb) {
			rfb.focus();
		}
	});
	hands.addEventListener("close", () => {
		if (hands === mine) {
			hands = null;
			end("Disconnected");
		}
	});
}

function connect() {
	ended = "";
	shown = false;
	told = { session: told.session };
	screen.replaceChildren();
	connectHands();
	connectScreen();
	show();
}

function ask(op) {
	if (hands && hands.readyState === WebSocket.OPEN) {
		hands.send(JSON.stringify({ op }));
	}
}

control.addEventListener("click", () => ask(holds ? "release" : "take"));
again.addEventListener("click", connect);

// While this viewer has control all keys are the guest's, but for one way out.
window.addEventListener(
	"keydown",
	(event) => {
		if (holds && event.ctrlKey && event.altKey && event.shiftKey && event.code === "KeyR") {
			event.preventDefault();
			event.stopImmediatePropagation();
			ask("release");
			control.focus();
		}
	},
	true
);

connect();

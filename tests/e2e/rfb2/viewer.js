// SPDX-License-Identifier: GPL-2.0-or-later
//
// viewer.js - a VNC viewer that is rfb2's (npm), for test_vnc.py to tell what to do. The commands are
// those of tests/e2e/viewer.c; "wait" isn't among them.
//
// usage: node viewer.js SOCKET
"use strict";

const fs = require("fs");
const net = require("net");
const readline = require("readline");
const rfb = require("rfb2");

let screen; // rows of R, G, B bytes
let missing; // by pixel, 1 where it hasn't come since it was asked for; null when nobody waits
let left; // of those
let tell; // called when none is left

const client = rfb.createConnection({
	stream: net.createConnection(process.argv[2]),
	security: [rfb.security.None],
	encodings: [rfb.encodings.raw, rfb.encodings.copyRect],
});

function put(x, y, red, green, blue) {
	const pixel = y * client.width + x;

	screen.set([red, green, blue], 3 * pixel);
	if (missing && missing[pixel]) {
		missing[pixel] = 0;
		left--;
	}
}

function putRaw(rect) {
	for (let y = 0, at = 0; y < rect.height; y++) {
		for (let x = 0; x < rect.width; x++, at += 4) {
			const value = rect.data.readUInt32LE(at);

			put(rect.x + x, rect.y + y, value >>> client.redShift & 255,
			    value >>> client.greenShift & 255, value >>> client.blueShift & 255);
		}
	}
}

function putCopy(rect) {
	const before = screen.slice();

	for (let y = 0; y < rect.height; y++) {
		for (let x = 0; x < rect.width; x++) {
			const from = 3 * ((rect.src.y + y) * client.width + rect.src.x + x);

			put(rect.x + x, rect.y + y, before[from], before[from + 1], before[from + 2]);
		}
	}
}

client.on("rect", (rect) => {
	(rect.encoding === rfb.encodings.raw ? putRaw : putCopy)(rect);
	if (missing && left === 0) {
		missing = null;
		tell();
	}
});

function askForAll() {
	left = client.width * client.height;
	missing = new Uint8Array(left).fill(1);
	return new Promise((resolve) => {
		tell = resolve;
		client.requestUpdate(0, 0, 0, client.width, client.height);
	});
}

const commands = {
	// What was under way before may come first; what comes after it has all in it.
	async look(file) {
		await askForAll();
		await askForAll();
		fs.writeFileSync(file, screen);
	},
	key(keysym, down) {
		client.keyEvent(Number(keysym), Number(down));
	},
	point(x, y, buttons) {
		client.pointerEvent(Number(x), Number(y), Number(buttons));
	},
};

async function obeyAll() {
	for await (const line of readline.createInterface({ input: process.stdin })) {
		const [command, ...words] = line.split(" ");

		await commands[command](...words);
		console.log("done");
	}
	client.end();
}

client.on("error", (error) => {
	console.error(`${error}`);
	process.exit(1);
});
client.stream.on("close", () => process.exit(process.stdin.readableEnded ? 0 : 1));
client.on("connect", () => {
	screen = new Uint8Array(3 * client.width * client.height);
	console.log(`${client.width} ${client.height} ${client.title}`);
	obeyAll();
});

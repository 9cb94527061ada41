// An HTTP server with keep-alive: GET /TEXT is answered as answer_of() in web.py says. SIGTERM ends it.
"use strict";
const http = require("http");

function answer(text) {
	let x = 0;

	for (const c of Buffer.from(text))
		x = (x * 31 + c) % 1000000007;
	return Buffer.from(`${text} ${x}\n`.repeat(1 + x % 50));
}

const server = http.createServer((request, response) => {
	const body = answer(request.url.slice(1));

	response.writeHead(200, {"Content-Length": body.length});
	// In two pieces, of which the second is late.
	response.write(body.subarray(0, body.length >> 1));
	setTimeout(() => response.end(body.subarray(body.length >> 1)), 2);
});
server.keepAliveTimeout = 0;
server.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));

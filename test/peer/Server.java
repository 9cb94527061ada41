/* An HTTP server with keep-alive and a pool of threads: GET /TEXT is answered as answer_of() in web.py says. */
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

public class Server {
	private static byte[] answer(String text) {
		long x = 0;

		for (byte c : text.getBytes(StandardCharsets.US_ASCII))
			x = (x * 31 + c) % 1000000007L;
		return (text + " " + x + "\n").repeat(1 + (int)(x % 50)).getBytes(StandardCharsets.US_ASCII);
	}

	private static void handle(HttpExchange exchange) throws IOException {
		byte[] body = answer(exchange.getRequestURI().getPath().substring(1));

		exchange.sendResponseHeaders(200, body.length);
		exchange.getResponseBody().write(body);
		exchange.close();
	}

	public static void main(String[] args) throws IOException {
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);

		server.setExecutor(Executors.newFixedThreadPool(8));
		server.createContext("/", Server::handle);
		server.start();
	}
}

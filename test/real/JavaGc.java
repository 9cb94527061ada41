// real: build: javac -d {build} {source}
// real: run: java -Xmx96m -Xms32m -cp {build} JavaGc
//
// Eight threads that make garbage without a pause, a concurrent map, and code that is compiled while
// it runs.
import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;

public final class JavaGc {
	static final int WORKERS = 8;
	static final Object LOCK = new Object();
	static final ConcurrentHashMap<Integer, byte[]> rows = new ConcurrentHashMap<>();
	static long x;

	static long chain(long value, int row) {
		return value * 6364136223846793005L + 1442695040888963407L + row;
	}

	static byte[] text(long value) {
		return String.format("%016x", value).repeat(16).getBytes();
	}

	static void step(int worker, int step) {
		synchronized (LOCK) {
			int row = rows.size();
			x = chain(x, row);
			rows.put(row, text(x));
			System.out.printf("%d %d %d %016x%n", row, worker, step, x);
			System.out.flush();
		}
		List<byte[]> garbage = new ArrayList<>();
		for (int i = 0; i < 200; i++)
			garbage.add(new byte[4096 + i]);
		long sum = 0;
		for (byte[] g : garbage)
			sum += g.length;
		if (sum != 200 * 4096 + 199 * 100)
			throw new IllegalStateException("garbage of " + sum + " bytes");
	}

	static void work(int worker) {
		try {
			for (int step = 0; !new File("stop").exists(); step++) {
				step(worker, step);
				Thread.sleep(30);
			}
		} catch (Throwable e) {
			e.printStackTrace();
			Runtime.getRuntime().halt(1);
		}
	}

	public static void main(String[] args) throws Exception {
		Thread[] threads = new Thread[WORKERS];
		for (int i = 0; i < WORKERS; i++) {
			int worker = i;
			threads[i] = new Thread(() -> work(worker));
			threads[i].start();
		}
		for (Thread thread : threads)
			thread.join();
		long y = 0;
		for (int row = 0; row < rows.size(); row++) {
			y = chain(y, row);
			if (!java.util.Arrays.equals(rows.get(row), text(y)))
				throw new IllegalStateException("row " + row + " is damaged");
		}
		System.out.printf("end %d %016x%n", rows.size(), x);
		System.out.flush();
	}
}

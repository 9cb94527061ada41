#!/usr/bin/env ruby
# real: run: ruby {source}
# real: threads: fixed
#
# Four threads, a queue and a mutex, strings and symbols for the garbage collector.
MASK = (1 << 64) - 1
$stdout.sync = true

def chain(x, row)
  (x * 6364136223846793005 + 1442695040888963407 + row) & MASK
end

lock = Mutex.new
rows = {}
x = 0
done = Queue.new
threads = 4.times.map do |worker|
  Thread.new do
    step = 0
    until File.exist?("stop")
      lock.synchronize do
        row = rows.size
        x = chain(x, row)
        rows[row] = { value: x, text: format("%016x", x) * 20 }
        puts "#{row} #{worker} #{step} #{format('%016x', x)}"
      end
      2000.times.map { |i| "garbage #{i}" }
      step += 1
      sleep 0.02
    end
    done << worker
  end
end
threads.each(&:join)
GC.start
y = 0
rows.each do |row, entry|
  y = chain(y, row)
  abort "row #{row} is damaged" unless entry[:value] == y && entry[:text] == format("%016x", y) * 20
end
abort "the queue has #{done.size} entries, expected 4" unless done.size == 4
puts "end #{rows.size} #{format('%016x', x)}"

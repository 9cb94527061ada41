#!/usr/bin/env perl
# real: run: perl {source}
# real: threads: fixed
#
# A growing hash of arrays, a sort and a regular expression in each step, an interval timer whose
# handler counts.
use strict;
use warnings;
use Time::HiRes qw(usleep setitimer ITIMER_REAL);

$| = 1;
my ($x, $row, $ticks, %rows) = (0, 0, 0);

sub chain {
	use integer;    # wraps at 64 bits
	my ($value, $n) = @_;
	return $value * 6364136223846793005 + 1442695040888963407 + $n;
}

$SIG{ALRM} = sub { $ticks++ };
setitimer(ITIMER_REAL, 0.05, 0.05);
while (!-e "stop") {
	$x = chain($x, $row);
	my $hex = sprintf "%016x", $x;
	$rows{$hex} = [$row, sort { $a cmp $b } split //, $hex];
	print "$row 0 $row $hex\n";
	$row++;
	usleep(5000);
}
setitimer(ITIMER_REAL, 0);
my $y = 0;
for my $n (0 .. $row - 1) {
	$y = chain($y, $n);
	my $hex = sprintf "%016x", $y;
	my $entry = $rows{$hex} or die "row $n ($hex) is missing\n";
	my ($stored, @sorted) = @$entry;
	$stored == $n && join("", @sorted) eq join("", sort { $a cmp $b } $hex =~ /./g)
		or die "row $n is damaged\n";
}
die "hash: expected $row rows, got " . keys(%rows) . "\n" if keys(%rows) != $row;
die "the interval timer ticked only $ticks times in $row steps\n" if $ticks < $row / 40;
printf "end %d %016x\n", $row, $x;

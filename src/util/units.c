#include "util/units.h"

#include <stdio.h>

#include "util/vec.h"

const char *bytes_text(uint64_t bytes, char buf[UNITS_LEN])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t u = 0;

	if (bytes < 1024) {
		snprintf(buf, UNITS_LEN, "%u B", (unsigned)bytes);
		return buf;
	}
	while (value >= 1023.95 && u + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		u++;
	}
	snprintf(buf, UNITS_LEN, "%.1f %s", value, units[u]);
	return buf;
}

const char *time_text(uint64_t ns, char buf[UNITS_LEN])
{
	if (ns < 1000000)
		snprintf(buf, UNITS_LEN, "%.0f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, UNITS_LEN, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(buf, UNITS_LEN, "%.2f s", (double)ns / 1e9);
	return buf;
}

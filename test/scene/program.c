/*
 * A program that the scenes replace by another build of itself: VALUE is all that differs. It is so
 * small that the same addresses hold the same functions.
 */
#include "victim.h"

int program_value = VALUE;

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	victim_ready();
	victim_wait();
	CHECK(program_value == VALUE, "value: expected %d, got %d", VALUE, program_value);
	return 0;
}

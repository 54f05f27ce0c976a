#define _GNU_SOURCE /* fopencookie */
#include "wrapper.h"

#include <rte_eal.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <time.h>

uint16_t tw_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

int tw_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

unsigned int tw_ring_enqueue_burst(struct rte_ring *ring, void *const *objects, unsigned int count)
{
	return rte_ring_enqueue_burst(ring, objects, count, NULL);
}

unsigned int tw_ring_dequeue_burst(struct rte_ring *ring, void **objects, unsigned int count)
{
	return rte_ring_dequeue_burst(ring, objects, count, NULL);
}

int tw_errno(void)
{
	return rte_errno;
}

unsigned int tw_lcore_id(void)
{
	return rte_lcore_id();
}

FILE *tw_open_stream(void *cookie, ssize_t (*write)(void *cookie, const char *text, size_t bytes))
{
	cookie_io_functions_t functions = { .write = write };
	FILE *stream = fopencookie(cookie, "w", functions);

	if (stream != NULL)
		setvbuf(stream, NULL, _IOLBF, 1024);
	return stream;
}

static FILE *own_stdout, *own_stderr;

void tw_capture_stdio(FILE *stream)
{
	fflush(stdout);
	own_stdout = stdout;
	own_stderr = stderr;
	stdout = stream;
	stderr = stream;
}

void tw_restore_stdio(void)
{
	fflush(stdout);
	stdout = own_stdout;
	stderr = own_stderr;
}

static _Thread_local bool brief;

/*
 * Where the processor does not tell the frequency of its time stamp counter (most virtual machines), EAL sleeps 100 ms to
 * measure it, and rounds to 10 MHz: a tenth of that serves as well. A program's own function goes before the C library's,
 * in EAL's libraries too. Outside tw_eal_init_briefly it is what it is there.
 */
int nanosleep(const struct timespec *wanted, struct timespec *left)
{
	struct timespec nap = *wanted;
	int error;

	if (brief && nap.tv_sec == 0 && nap.tv_nsec == 100 * 1000 * 1000)
		nap.tv_nsec /= 10;
	error = clock_nanosleep(CLOCK_REALTIME, 0, &nap, left);
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

int tw_eal_init_briefly(int argc, char **argv)
{
	int done;

	brief = true;
	done = rte_eal_init(argc, argv);
	brief = false;
	return done;
}

void tw_lpm_lookup_bulk(const struct rte_lpm *lpm, const uint32_t *addresses, uint32_t *hops, unsigned int count)
{
	rte_lpm_lookup_bulk(lpm, addresses, hops, count);
}

void tw_lpm_lookup_each(const struct rte_lpm *lpm, const uint32_t *addresses, uint32_t *hops, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint32_t hop = 0;

		hops[i] = rte_lpm_lookup((struct rte_lpm *)(uintptr_t)lpm, addresses[i], &hop) == 0 ? hop | RTE_LPM_LOOKUP_SUCCESS : 0;
	}
}

static int advise(const struct rte_memseg_list *list, void *argument)
{
	(void)argument;
	/* Refused on memory that is hugepages already, which is as well. */
	(void)madvise(list->base_va, list->len, MADV_HUGEPAGE);
	return 0;
}

void tw_advise_large_pages(void)
{
	rte_memseg_list_walk(advise, NULL);
}

#define _GNU_SOURCE /* fopencookie */
#include "wrapper.h"

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

unsigned int tw_ring_count(const struct rte_ring *ring)
{
	return rte_ring_count(ring);
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

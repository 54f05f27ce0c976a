/* What DPDK offers only as static inlines or macros, as functions and constants that can be bound. */
#ifndef TAILWATER_DPDK_SHIM_H
#define TAILWATER_DPDK_SHIM_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct rte_lpm;
struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

uint16_t tw_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
int tw_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
unsigned int tw_ring_enqueue_burst(struct rte_ring *ring, void *const *objects, unsigned int count);
unsigned int tw_ring_dequeue_burst(struct rte_ring *ring, void **objects, unsigned int count);
/* rte_errno of the calling thread: it is thread-local. */
int tw_errno(void);
unsigned int tw_lcore_id(void);
/* A line-buffered stream whose text goes to `write`; NULL if there is no memory. */
FILE *tw_open_stream(void *cookie, ssize_t (*write)(void *cookie, const char *text, size_t bytes));
/* The C library's stdout and stderr point to `stream` until tw_restore_stdio. */
void tw_capture_stdio(FILE *stream);
void tw_restore_stdio(void);
/* rte_eal_init, whose measuring of the time stamp counter takes 10 ms instead of 100: for processes that live shortly. */
int tw_eal_init_briefly(int argc, char **argv);

/* Next hops of addresses in host byte order, with RTE_LPM_LOOKUP_SUCCESS where there is one: many at once, and one by one. */
void tw_lpm_lookup_bulk(const struct rte_lpm *lpm, const uint32_t *addresses, uint32_t *hops, unsigned int count);
void tw_lpm_lookup_each(const struct rte_lpm *lpm, const uint32_t *addresses, uint32_t *hops, unsigned int count);

/* Asks for large pages under DPDK's ordinary memory: what it would have with hugepages, as far as the system gives them. */
void tw_advise_large_pages(void);

#endif

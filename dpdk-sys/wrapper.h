/* What the bindings are generated from. */
#define ALLOW_EXPERIMENTAL_API
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_lpm.h>
#include <rte_lpm6.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_vect.h>
#include <rte_version.h>

#include "shim.h"

/* Macros with casts, which bindgen leaves out. */
static const uint64_t TW_RX_OFFLOAD_VLAN_STRIP = RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
static const uint64_t TW_RX_OFFLOAD_QINQ_STRIP = RTE_ETH_RX_OFFLOAD_QINQ_STRIP;
static const uint64_t TW_RX_OFFLOAD_VLAN_FILTER = RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
static const uint64_t TW_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t TW_RX_OFFLOAD_RSS_HASH = RTE_ETH_RX_OFFLOAD_RSS_HASH;
static const uint64_t TW_RSS_LEVEL_MASK = RTE_ETH_RSS_LEVEL_MASK;
static const uint64_t TW_RSS_LEVEL_INNERMOST = RTE_ETH_RSS_LEVEL_INNERMOST;
static const uint32_t TW_DEV_INTR_LSC = RTE_ETH_DEV_INTR_LSC;
static const uint32_t TW_RING_SINGLE = RING_F_SP_ENQ | RING_F_SC_DEQ;

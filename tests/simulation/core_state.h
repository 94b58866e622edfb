/* The core's tables, for the checker to read. Both broker and libscoop have a ledger_open(). */
#ifndef SIMULATION_CORE_STATE_H
#define SIMULATION_CORE_STATE_H

#define ledger_open broker_ledger_open
#include "broker/state.h"
#undef ledger_open

#endif

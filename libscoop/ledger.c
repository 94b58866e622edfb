#include "ledger.h"

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){.open_bytes = 0};
    roster_init(&ledger->roster, sizeof(struct ledger_entry));
}

void ledger_fini(struct ledger *ledger)
{
    roster_fini(&ledger->roster);
    ledger->open_bytes = 0;
}

int ledger_add(struct ledger *ledger, const struct ledger_entry *entry)
{
    if (roster_add(&ledger->roster, entry) != 0)
        return -ENOMEM;
    ledger->open_bytes += entry->bytes;
    return 0;
}

int ledger_take(struct ledger *ledger, uint64_t no, struct ledger_entry *out)
{
    const struct ledger_entry *entry = roster_find(&ledger->roster, no);

    if (entry == NULL)
        return -ENOENT;
    *out = *entry;
    roster_remove(&ledger->roster, no);
    ledger->open_bytes -= out->bytes;
    return 0;
}

const struct ledger_entry *ledger_find(const struct ledger *ledger, uint64_t no)
{
    return roster_find(&ledger->roster, no);
}

const struct ledger_entry *ledger_next(const struct ledger *ledger, uint64_t *no)
{
    return roster_next(&ledger->roster, no);
}

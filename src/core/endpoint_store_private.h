/* endpoint_store_private.h - what endpoint_store.c and source_store.c (changes of our own) and
 * endpoint_follow.c (what is in Redis) share. */
#ifndef TROTLINE_CORE_ENDPOINT_STORE_PRIVATE_H
#define TROTLINE_CORE_ENDPOINT_STORE_PRIVATE_H

#include "base/list.h"
#include "core/endpoint_store.h"

#define TOMBSTONE SLICE("{\"deleted\":true}")

enum {
    CONFIG_CHANGES_KEPT = 10000
}; /* a replica that was away for more of them loads everything */

enum follow_state { FOLLOW_IDLE, FOLLOW_CHANGES, FOLLOW_LOAD };

struct endpoint_store {
    struct core *core;
    size_t under_way; /* changes of our own */
    struct list
        lost; /* those whose answers were lost, and which tell something if they were made */

    /* endpoint_follow.c's */
    enum follow_state state;
    bool loaded;      /* once, at least */
    bool unsure;      /* changes cannot be followed from here: everything must be loaded */
    bool look;        /* notices may have been missed */
    bool in_sources;  /* a load has all endpoints, and goes on with the sources */
    size_t fetches;   /* of single documents, on their way */
    uint64_t version; /* all changes up to this one are in the registry */
    uint64_t seen;    /* the newest that was heard of */
    uint64_t asked;   /* what was seen when the changes were asked for */
    uint64_t round;   /* of loading: endpoints that it does not find are removed */
    uint64_t round_version;
    endpoint_store_loaded_fn *done; /* may be NULL */
    void *done_arg;
};

/* The registry has the endpoint's configuration of now: everything that follows from it. */
void endpoint_take_effect(struct endpoint_store *endpoints, struct endpoint *endpoint);

/* What another configuration means for how it fares: enabled, or with another URL, it begins anew.
 */
void endpoint_compare(struct endpoint_store *endpoints, struct endpoint *endpoint,
                      const struct endpoint_config *old);

/* The document was found in Redis: if it is a change of our own whose answer was lost, what is to
 * be told of that is told now. */
void endpoint_tell_lost(struct endpoint_store *endpoints, struct endpoint *endpoint);
/* Everything has been found that was there: forgets lost changes. */
void endpoint_forget_lost(struct endpoint_store *endpoints);

/* A document as Redis has it since `version` at least; empty: it is gone. */
void endpoint_follow_document(struct endpoint_store *endpoints, struct slice id_text,
                              struct slice document, uint64_t version);

/* Our own change made this version, of that before. */
void endpoint_follow_own(struct endpoint_store *endpoints, uint64_t before, uint64_t version);

/* Reads what is to be read, if anything. */
void endpoint_follow(struct endpoint_store *endpoints);

#endif

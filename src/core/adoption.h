/* adoption.h - batches that dead incarnations left in their journals.
 *
 * Their parts (batch.h) are adopted one by one, and opened by the mailbox as if just stored, with
 * the progress bitmap saying what is done; when a journal is empty its incarnation is buried.
 */
#ifndef TROTLINE_CORE_ADOPTION_H
#define TROTLINE_CORE_ADOPTION_H

#include "core/core.h"

struct adoption;

struct adoption *adoption_new(struct core *core);
void adoption_free(struct adoption *adoption);

/* A dead incarnation that left a journal, as a heartbeat's reply names it. Nothing is done while
 * another one's is being adopted, or at a stop: it will be named again. */
void adoption_begin(struct adoption *adoption, struct slice incarnation);

#endif

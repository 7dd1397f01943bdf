/* A network card of a virtual bus: "virtual-ethernet", version 1. */
#pragma once
#include "card.h"
#include "vbus.h"

extern const struct card venet;

/* Waits for the card, and opens it. want_pieces: frames are lists of pieces with a header before them. 0: it can't be used. */
int venet_open(int want_pieces);
/* Whether its frames are such lists. */
int venet_has_pieces(void);

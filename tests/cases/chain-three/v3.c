// SPDX-License-Identifier: LGPL-2.1-or-later
#define NAME "three"
#define STEP 100
#define ADDED 3
#include "program.h"

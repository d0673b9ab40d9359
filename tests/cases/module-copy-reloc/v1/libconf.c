// SPDX-License-Identifier: LGPL-2.1-or-later
int conf_limit = 10;
int conf_level = 3;
int *const lib_level_pointer = &conf_level;

int lib_limit(void)
{
	return conf_limit;
}

int lib_level(void)
{
	return conf_level;
}

int *lib_level_address(void)
{
	return &conf_level;
}

"""Closed, hosted, rented or owned: gates first, then money, then what would change the verdict. Pure."""

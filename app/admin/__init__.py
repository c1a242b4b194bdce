"""The admin API, for operators. It imports other rooms; none imports it."""

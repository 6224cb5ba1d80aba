"""Times recurrent networks beside each other. Knows stacks and their rivals, no data."""

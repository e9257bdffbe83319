"""The market, the programme, time and money."""

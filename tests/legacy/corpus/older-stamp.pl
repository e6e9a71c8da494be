$pat = '^(... .. ..:..:..) \S+ homepop\[\d+\]: welcome \S+ from (\d+\.\d+\.\d+\.\d+)';
1;
